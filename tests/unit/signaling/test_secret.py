"""The secret and the key on disk: made once, private, and never anything that could be guessed."""

import os
from pathlib import Path

import pytest

from signaling.private_file import UnusableFile
from signaling.receipt_key import read_or_make_receipt_key, read_receipt_key
from signaling.secret import read_or_make_secret, read_secret


def write(data_dir: Path, content: bytes, mode: int = 0o600) -> None:
    path = data_dir / "secret"
    path.write_bytes(content)
    path.chmod(mode)


def test_it_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    secret = read_or_make_secret(tmp_path / "new")
    assert len(secret) >= 32
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o777 == 0o600
    assert read_or_make_secret(tmp_path / "new") == secret == read_secret(tmp_path / "new")


def test_without_one_a_reader_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_secret(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"short", b"s" * 31, bytes(64), b"\xff" * 10, b"s" * 4096, b"two\nlines" * 8],
    ids=["empty", "blank", "short", "31", "zeros", "binary", "huge", "lines"],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty one would let anybody sign tokens."""
    write(tmp_path, content)
    with pytest.raises(UnusableFile, match="does not hold a secret"):
        read_or_make_secret(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640])
def test_one_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, b"s" * 40, mode)
    with pytest.raises(UnusableFile, match="chmod 600"):
        read_secret(tmp_path)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret", 0o600)
    with pytest.raises(UnusableFile):
        read_secret(tmp_path)


def test_the_key_for_receipts_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    key = read_or_make_receipt_key(tmp_path)
    assert (tmp_path / "receipt_key").stat().st_mode & 0o777 == 0o600
    again = read_receipt_key(tmp_path)
    assert read_or_make_receipt_key(tmp_path).private_bytes_raw() == key.private_bytes_raw()
    assert again.private_bytes_raw() == key.private_bytes_raw()


@pytest.mark.parametrize("content", [b"", b"short", b"!" * 44, b"A" * 48])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "receipt_key").write_bytes(content)
    (tmp_path / "receipt_key").chmod(0o600)
    with pytest.raises(UnusableFile, match="does not hold a key for receipts"):
        read_or_make_receipt_key(tmp_path)
