"""The load-test script against a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server

KEY = "a load-test key, 32 characters.."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), PLUMM_LOAD_KEY=KEY) as running:
        yield running


def load(url: str, *options: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.load", url, *options],
        env=os.environ | {"PLUMM_LOAD_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )


def test_three_rooms_are_loaded_and_reported(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = load(
        server.url, "--rooms=3", "--duration=3", "--bitrate=400", "--json", f"--report={page}"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["rooms_failed"], report["failures"]) == (0, {})
    for wait in ("join_ms", "first_media_ms", "end_fanout_ms"):
        assert report[wait]["count"] == 6
        assert 0 < report[wait]["p50"] <= report[wait]["max"] < 10_000
    assert report["first_media_ms"]["p50"] > report["join_ms"]["p50"]
    # 30 pictures of two packets and 50 of sound a second, from six people for 3 s.
    assert report["packets"]["sent"] == pytest.approx(6 * 3 * 110, rel=0.15)
    assert report["packets"]["not_authentic"] == 0
    assert report["loss"] < 0.02
    assert report["delivered"] == pytest.approx(1, abs=0.02)
    assert report["delay_ms"]["p50"] > 0
    assert report["server"]["rss_mib_max"] > 20
    html = page.read_text()
    assert html.count("<svg") == 6
    assert "http" not in html, "it opens without a network"


def test_everyone_in_a_larger_room_gets_all_media_and_hears_the_end(server: Server) -> None:
    done = load(server.url, "--rooms=1", "--people=4", "--duration=12", "--bitrate=1500", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["first_media_ms"]["count"] == report["end_fanout_ms"]["count"] == 4
    assert report["loss"] < 0.02
    # Their reports let the server's estimate rise to what three pictures take.
    assert report["delivered"] > 0.8


def test_a_server_with_another_key_is_not_loaded(server: Server) -> None:
    done = load(server.url, key="another key, of 32 characters...")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"plumm-load: {server.url} takes no load test by this key\n"


def test_a_server_without_a_key_is_not_loaded(tmp_path: Path) -> None:
    with Server(tmp_path) as other:
        done = load(other.url)
    assert done.returncode == 1
    assert done.stderr == f"plumm-load: {other.url} takes no load test by this key\n"
