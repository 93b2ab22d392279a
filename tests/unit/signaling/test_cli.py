"""The `plumm` command, as a real process where that matters."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from rooms.receipt import Notary
from scripts.ports import free_port
from signaling.cli import main
from signaling.client import RoomClient
from signaling.receipt_key import read_or_make_receipt_key
from tests.support.eventually import eventually
from tests.support.postgres import Postgres
from tests.support.server import PLUMM, Server
from tests.unit.rooms.test_receipt import RECEIPT, STAYS, ended


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv("PLUMM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PLUMM_PORT", str(free_port()))
    return CliRunner()


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["demo", "--help"], ["-h"]])
def test_help_is_offered_everywhere(runner: CliRunner, words: list[str]) -> None:
    result = runner.invoke(main, words)
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_the_help_of_serve_lists_every_setting(runner: CliRunner) -> None:
    text = runner.invoke(main, ["serve", "--help"]).stdout
    for name in ("HOST", "PORT", "MEDIA_PORT", "ADVERTISED_IP", "PUBLIC_URL", "SECRET", "DEMO"):
        assert f"PLUMM_{name}:" in text


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_wrong_setting_is_one_line_on_stderr_and_status_2(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PLUMM_MEDIA_PORT", "lots")
    result = runner.invoke(main, [command])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "PLUMM_MEDIA_PORT" in result.stderr


def test_an_unknown_option_is_status_2(runner: CliRunner) -> None:
    assert runner.invoke(main, ["demo", "--nonsense"]).exit_code == 2


def test_demo_without_a_server_says_what_to_do(runner: CliRunner, tmp_path: Path) -> None:
    nothing_ever_ran = runner.invoke(main, ["demo"])
    (tmp_path / "secret").write_text("a secret of thirty-two characters")
    (tmp_path / "secret").chmod(0o600)
    nothing_runs_now = runner.invoke(main, ["demo"])
    for result in (nothing_ever_ran, nothing_runs_now):
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert "plumm serve" in result.stderr


def test_a_taken_web_port_is_one_line_and_status_1(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        second = subprocess.run(
            [PLUMM, "serve"],
            env=os.environ | {"PLUMM_PORT": str(server.port), "PLUMM_DATA_DIR": str(tmp_path)},
            capture_output=True,
            check=False,
            timeout=20,
        )
    assert second.returncode == 1
    assert f"cannot open the web port {server.port}" in second.stderr.decode()
    assert "Traceback" not in second.stderr.decode()


def test_a_taken_media_port_is_one_line_and_status_1(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        second = subprocess.run(
            [PLUMM, "serve"],
            env=os.environ
            | {
                "PLUMM_PORT": "0",
                "PLUMM_MEDIA_PORT": str(server.media_port),
                "PLUMM_DATA_DIR": str(tmp_path),
            },
            capture_output=True,
            check=False,
            timeout=20,
        )
    assert second.returncode == 1
    assert f"cannot open the media port {server.media_port}" in second.stderr.decode()
    assert "Traceback" not in second.stderr.decode()


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b"])
def test_a_host_without_an_address_is_one_line_and_status_2(tmp_path: Path, host: str) -> None:
    served = subprocess.run(
        [PLUMM, "serve"],
        env=os.environ
        | {
            "PLUMM_HOST": host,
            "PLUMM_PORT": "0",
            "PLUMM_ADVERTISED_IP": "127.0.0.1",
            "PLUMM_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert served.returncode == 2
    assert served.stderr.decode() == f"plumm: PLUMM_HOST: no address is known of {host}\n"


def test_a_data_directory_that_cannot_be_used_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    served = subprocess.run(
        [PLUMM, "serve"],
        env=os.environ | {"PLUMM_PORT": "0", "PLUMM_DATA_DIR": str(tmp_path / "file")},
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert served.returncode == 2
    assert served.stderr.decode().count("\n") == 1
    assert "PLUMM_DATA_DIR" in served.stderr.decode()


def test_demo_prints_json_for_programs_and_links_for_people(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        made = server.demo()
        environment = os.environ | {
            "PLUMM_PORT": str(server.port),
            "PLUMM_DATA_DIR": str(tmp_path),
        }
        told = subprocess.run(
            [PLUMM, "demo", "--client", "Ada"], env=environment, capture_output=True, check=True
        ).stdout.decode()
        foreign = subprocess.run(
            [PLUMM, "demo"],
            env=environment | {"PLUMM_SECRET": "a secret of thirty-two characters"},
            capture_output=True,
            check=False,
        )
    assert made.therapist_url.startswith(f"{server.url}/room/{made.session_id}#")
    assert made.client_url.startswith(f"{server.url}/room/{made.session_id}#")
    assert f"Ada (client): {server.url}/room/" in told
    assert foreign.returncode == 1
    assert "another secret" in foreign.stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_told_to_go_tells_its_clients_and_is_gone_within_two_seconds(
    tmp_path: Path, number: signal.Signals
) -> None:
    loop = asyncio.get_running_loop()
    with Server(tmp_path) as server:
        assert server.process is not None
        made = await loop.run_in_executor(None, server.demo)
        told: list[str] = []
        members = [RoomClient(made.therapist_url), RoomClient(made.client_url)]
        for member in members:
            member.on("server:closing", lambda _: told.append("closing"))
            member.on("disconnect", lambda _: told.append("disconnect"))
            await member.connect()
        asked_at = loop.time()
        server.process.send_signal(number)
        await loop.run_in_executor(None, server.process.wait, 5)
        took = loop.time() - asked_at
        await eventually(lambda: sorted(told) == ["closing"] * 2 + ["disconnect"] * 2)
        for member in members:
            await member.close()
    assert server.process.returncode == 0
    assert took < 2.0
    assert "Traceback" not in server.log


async def test_a_client_that_does_not_listen_holds_up_no_one_who_goes(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        took = await asyncio.get_running_loop().run_in_executor(None, server.stop)
        writer.close()
    assert took < 2.0


async def test_no_token_name_or_secret_is_ever_logged(tmp_path: Path) -> None:
    """A whole session with a refusal of each kind, at the most talkative level."""
    loop = asyncio.get_running_loop()
    with Server(tmp_path, PLUMM_LOG_LEVEL="debug", PLUMM_LOG_FORMAT="json") as server:
        made = await loop.run_in_executor(None, server.demo)
        member = RoomClient(made.therapist_url)
        await member.connect()
        with pytest.raises(Exception, match="malformed"):
            await member.request("rtc:offer", {"sdp": "v=0 private words"})
        await member.request("session:end", {})
        refused = RoomClient(made.client_url)
        with pytest.raises(Exception, match="ended"):
            await refused.connect()
        await member.close()
        await refused.close()
        # aiohttp itself would log the line that it cannot parse, token and all.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nAuthorization: Bearer eyJhidden\x01\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400")
        writer.close()
    secret = (tmp_path / "secret").read_text()
    entries = [line for line in server.log.splitlines() if line.startswith("{")]
    assert "session.ended" in [json.loads(line)["event"] for line in entries]
    for private in (secret, "Lena", "Maya", "private words", "eyJ", made.client_url):
        assert private not in server.log


def test_a_receipt_is_verified_offline_and_a_changed_one_is_status_1(
    runner: CliRunner, tmp_path: Path
) -> None:
    key = read_or_make_receipt_key(tmp_path)
    file = tmp_path / "receipt.json"
    file.write_text(Notary(key).receipt(ended(), STAYS))
    public = runner.invoke(main, ["receipt", "key"]).stdout.strip()
    assert public == Notary(key).public_key
    for words in (
        ["receipt", "verify", str(file)],
        ["receipt", "verify", str(file), "--key", public],
    ):
        result = runner.invoke(main, words)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "The receipt is good: session s, therapist." in result.stdout
    said = json.loads(runner.invoke(main, ["receipt", "verify", str(file), "--json"]).stdout)
    assert said["overlap_s"] == 2817
    file.write_text(file.read_text().replace("2817", "3600"))
    result = runner.invoke(main, ["receipt", "verify", str(file)])
    assert (result.exit_code, result.stderr) == (1, "plumm: this receipt was changed\n")


def test_without_a_key_a_receipt_cannot_be_verified(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(RECEIPT)
    result = runner.invoke(main, ["receipt", "verify", str(file)])
    assert result.exit_code == 1
    assert "--key" in result.stderr


def test_a_database_that_cannot_be_used_is_one_line_and_status_1(
    tmp_path: Path, postgres: Postgres
) -> None:
    def refused(url: str) -> str:
        ports = {"PLUMM_PORT": str(free_port()), "PLUMM_MEDIA_PORT": str(free_port())}
        served = subprocess.run(
            [PLUMM, "serve"],
            env=os.environ | ports | {"PLUMM_DATA_DIR": str(tmp_path), "PLUMM_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (served.returncode, served.stdout) == (1, "")
        (line,) = served.stderr.splitlines()
        return line

    assert refused(postgres.new_database()) == (
        "plumm: the database has no tables yet; run `plumm migrate`"
    )
    assert refused(f"postgresql://plumm@/plumm?host={tmp_path}").startswith(
        "plumm: cannot use the database: "
    )


def test_an_embedded_database_that_is_none_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "plumm.sqlite3").write_bytes(b"something else" * 400)
    ports = {"PLUMM_PORT": str(free_port()), "PLUMM_MEDIA_PORT": str(free_port())}
    served = subprocess.run(
        [PLUMM, "serve"],
        env=os.environ | ports | {"PLUMM_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (served.returncode, served.stderr) == (
        1,
        "plumm: cannot use the database: file is not a database\n",
    )
