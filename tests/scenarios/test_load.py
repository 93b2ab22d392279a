"""The load-test script against a real server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.eventually import eventually
from tests.support.server import Server

KEY = "a load-test key, 32 characters.."

_REFUSED: Final = "plumm-load: {} takes no load test by this key, or is at another address\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), PLUMM_LOAD_KEY=KEY) as running:
        yield running


def command(url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "scripts.load", url, *options]


def load(url: str, *options: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(url, *options),
        env=os.environ | {"PLUMM_LOAD_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def loading(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The script at work in the background."""
    running = subprocess.Popen(
        command(url, *options),
        env=os.environ | {"PLUMM_LOAD_KEY": KEY},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()


async def media_flows(server: Server) -> None:
    """So much of it that everybody is in: a room of two begins to send at once."""
    before = server.metric("plumm_relay_packets_out_total")
    await eventually(lambda: server.metric("plumm_relay_packets_out_total") > before + 1000)


async def nobody_is_left(server: Server) -> None:
    await eventually(lambda: server.metric("plumm_signaling_sockets") == 0)


def test_three_rooms_are_loaded_and_reported(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = load(
        server.url, "--rooms=3", "--duration=3", "--bitrate=400", "--json", f"--report={page}"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["failed"] == 0
    actions = report["actions"]
    for action in ("join", "first_media", "end"):
        assert actions[action]["count"] == 6
        assert 0 < actions[action]["ms"]["p50"] <= actions[action]["ms"]["max"] < 10_000
    assert actions["first_media"]["ms"]["p50"] > actions["join"]["ms"]["p50"]
    media = report["media"]
    # 30 pictures of two packets and 50 of sound a second, from six people for 3 s.
    assert media["packets"]["sent"] == pytest.approx(6 * 3 * 110, rel=0.15)
    assert media["packets"]["not_authentic"] == 0
    assert media["loss"] < 0.02
    assert media["delivered"] == pytest.approx(1, abs=0.02)
    assert media["delay_ms"]["p50"] > 0
    assert report["server"]["rss_mib_max"] > 20
    assert max(sample["people"] for sample in report["over_time"]) == 6
    assert page.read_text().count("<svg") == 6 + 2 * 4 + 1


def test_everyone_in_a_larger_room_gets_all_media_and_hears_the_end(server: Server) -> None:
    done = load(server.url, "--rooms=1", "--people=4", "--duration=12", "--bitrate=1500", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["actions"]["first_media"]["count"] == report["actions"]["end"]["count"] == 4
    assert report["media"]["loss"] < 0.02
    # Their reports let the estimate rise to what three pictures take: then all of it comes.
    last = [sample for sample in report["over_time"] if sample["people"] == 4][-3:]
    copies = 3 * sum(sample["sent"] for sample in last)
    assert sum(sample["received"] for sample in last) > 0.97 * copies


CHURN = """
rooms = 4
ramp = 10
duration_s = 10

[[kinds]]
people = 3
bitrate_kbit = 100

[kinds.churn]
leaves = 20
refreshes = 20
mutes = 20
cameras = 20
reconnects = 20
moves = 20
ends = 8
away_s = 0.5
"""


async def test_all_that_may_happen_in_a_room_goes_well_and_media_with_it(
    server: Server, tmp_path: Path
) -> None:
    scenario = tmp_path / "churn.toml"
    scenario.write_text(CHURN)
    done = load(server.url, f"--scenario={scenario}", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report["actions"]
    for name, action in report["actions"].items():
        assert action["count"] > 2, name
        assert action["failures"] == {}
    assert report["actions"]["open"]["count"] > 4, "an end is followed by another session"
    assert report["media"]["packets"]["not_authentic"] == 0
    assert report["media"]["loss"] < 0.02
    await nobody_is_left(server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_test_ends_its_sessions_and_reports(
    server: Server, number: signal.Signals
) -> None:
    options = ("--rooms=3", "--ramp=10", "--duration=600", "--bitrate=100", "--json")
    with loading(server.url, *options) as running:
        await media_flows(server)
        running.send_signal(number)
        printed, _ = running.communicate(timeout=20)
    report = json.loads(printed)
    assert running.returncode == 130
    assert report["interrupted"]
    assert report["actions"]["end"]["count"] == 6
    assert report["failed"] == 0
    await nobody_is_left(server)


async def test_a_server_that_dies_is_failures_in_the_report(tmp_path: Path) -> None:
    options = ("--rooms=2", "--ramp=10", "--duration=5", "--json")
    with (
        Server(tmp_path, PLUMM_LOAD_KEY=KEY) as server,
        loading(server.url, *options) as running,
    ):
        await media_flows(server)
        server.kill()
        printed, _ = running.communicate(timeout=60)
    report = json.loads(printed)
    assert running.returncode == 1
    assert report["actions"]["first_media"]["count"] == 4
    assert report["actions"]["end"]["failures"]["server_gone"] >= 2


def test_libwebrtc_takes_part_and_does_all_that_people_do(server: Server, tmp_path: Path) -> None:
    scenario = tmp_path / "all.toml"
    scenario.write_text(
        """
        rooms = 1
        duration_s = 10
        seed = 1
        [[kinds]]
        people = 3
        bitrate_kbit = 300
        [kinds.churn]
        leaves = 12
        refreshes = 12
        mutes = 12
        reconnects = 12
        moves = 12
        away_s = 1.0
        """
    )
    done = load(server.url, "--clients=wrtc", f"--scenario={scenario}", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["failed"] == 0, report["actions"]
    done_well = {doing for doing, action in report["actions"].items() if action["count"]}
    assert done_well >= {"join", "first_media", "leave", "refresh", "mute", "reconnect", "move"}
    # The third one is away.
    assert report["actions"]["end"]["count"] == 2
    assert report["media"]["packets"]["received"] > 1000
    assert report["media"]["loss"] < 0.05
    assert report["media"]["delivered"] > 0.6
    assert report["generator"] is None


def test_a_server_with_another_key_is_not_loaded(server: Server) -> None:
    done = load(server.url, key="another key, of 32 characters...")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"plumm-load: {server.url} takes no load test by this key, or is at another address\n"
    )


def test_a_server_without_a_key_is_not_loaded(tmp_path: Path) -> None:
    with Server(tmp_path) as other:
        done = load(other.url)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"plumm-load: {other.url} takes no load test by this key, or is at another address\n"
    )
