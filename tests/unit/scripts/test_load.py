"""Load tests: what they may do, the arithmetic of the report, and its page."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from scripts.load import plot, report
from scripts.load.__main__ import main
from scripts.load.page import page
from scripts.load.room import RoomResult
from scripts.load.run import Outcome
from scripts.load.scenario import BadScenario, Scenario
from scripts.load.target import Usage, read_usage
from scripts.pump import Figures

SCENARIO = Scenario(rooms=3, people=2, duration_s=10, ramp=2.0, bitrate_kbit=1500)
# 1 ms and 2 ms, see bucket_floor_us: 32 buckets a doubling.
DELAYS = tuple({190: 3, 222: 1}.get(bucket, 0) for bucket in range(768))
MEDIA = Figures(
    sent=100, expected=100, received=90, missing=10, received_bytes=9000,
    authenticated=90, rtcp=5, other=2, keyframes=2, slipped_us=1500, delays=DELAYS,
)  # fmt: skip
ROOM = RoomResult(joined=[0.1, 0.2], first_media=[0.3, 0.4], ended=[0.005, 0.006])


def outcome() -> Outcome:
    usage = [(0.0, Usage(1.0, 2.0**20)), (2.0, Usage(2.0, 2.0**21)), (4.0, Usage(5.0, 2.0**20))]
    return Outcome(SCENARIO, [ROOM, ROOM], ["no_connection"], usage, MEDIA)


def test_rooms_begin_at_the_ramp() -> None:
    assert [SCENARIO.starts_s(room) for room in range(3)] == [0.0, 0.5, 1.0]
    assert SCENARIO.length_s == 11.0


@pytest.mark.parametrize("kbit", [50, 264, 265, 400, 1500, 5000])
def test_a_picture_carries_the_bitrate_in_as_few_packets_as_can_be(kbit: int) -> None:
    picture = replace(SCENARIO, bitrate_kbit=kbit).picture
    rate = picture.packets * picture.packet_bytes * 8 * 30
    assert rate == pytest.approx(kbit * 1000, rel=0.01)
    assert picture.packet_bytes <= 1100
    assert (picture.packets - 1) * 1100 < kbit * 1000 / 240


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rooms": 150, "people": 12}, "1800 participants"),
        ({"rooms": 100, "ramp": 0.1, "duration_s": 3600}, "4590 s"),
        ({"rooms": 25, "people": 12, "bitrate_kbit": 5000}, "16500 Mbit/s"),
    ],
)
def test_no_test_is_larger_or_longer_than_the_limits(change: dict[str, int], reason: str) -> None:
    with pytest.raises(BadScenario, match=reason):
        replace(SCENARIO, **change)


@pytest.mark.parametrize(
    "options",
    [
        ["--rooms=151"],
        ["--rooms=0"],
        ["--people=1"],
        ["--people=13"],
        ["--duration=3601"],
        ["--ramp=21"],
        ["--bitrate=5001"],
        ["--clients=wrtc"],
        ["--rooms=150", "--people=12"],
    ],
)
def test_the_command_refuses_what_is_beyond_the_limits(options: list[str]) -> None:
    done = CliRunner().invoke(main, ["http://127.0.0.1:9", *options], env={"PLUMM_LOAD_KEY": "k"})
    assert done.exit_code == 2


def test_the_command_needs_the_key() -> None:
    done = CliRunner().invoke(main, ["http://127.0.0.1:9"], env={"PLUMM_LOAD_KEY": None})
    assert done.exit_code == 2
    assert "PLUMM_LOAD_KEY is not set" in done.output


def test_where_nothing_answers_nothing_is_loaded() -> None:
    done = CliRunner().invoke(main, ["http://127.0.0.1:9"], env={"PLUMM_LOAD_KEY": "k"})
    assert done.exit_code == 1
    assert "plumm-load: http://127.0.0.1:9 takes no load test by this key" in done.output


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [report.percentile(values, p) for p in (0, 50, 95, 100)] == [1.0, 3.0, 5.0, 5.0]


def test_the_report_sums_the_rooms_up() -> None:
    found = report.summary(outcome())
    assert found["join_ms"] == {"p50": 100.0, "p95": 200.0, "p99": 200.0, "max": 200.0, "count": 4}
    assert found["failures"] == {"no_connection": 1}
    assert found["packets"] == {"sent": 100, "received": 90, "not_authentic": 0}
    assert (found["loss"], found["delivered"]) == (0.1, 0.9)
    assert found["delay_ms"]["p50"] < found["delay_ms"]["p99"]
    assert found["generator"] == {"late_ms": 1.5, "unsent": 0}
    assert found["server"] == {"cpu_cores_mean": 1.0, "cpu_cores_max": 1.5, "rss_mib_max": 2.0}


def test_what_was_not_measured_is_null() -> None:
    found = report.summary(Outcome(SCENARIO, failures=["timeout", "timeout"]))
    for name in ("join_ms", "delay_ms", "loss", "packets", "generator", "server"):
        assert found[name] is None
    assert found["failures"] == {"timeout": 2}


def test_what_the_server_holds_back_is_not_delivered_but_not_lost_either() -> None:
    found = report.summary(replace(outcome(), media=replace(MEDIA, expected=200)))
    assert (found["loss"], found["delivered"]) == (0.1, 0.45)


def test_the_servers_figures_are_read_off_its_exposition() -> None:
    text = "# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1.0e+06\n"
    assert read_usage(text) == Usage(1.5, 1e6)
    assert read_usage("<html>") is None


def test_an_axis_ends_at_a_round_number() -> None:
    assert [plot.nice_end(most) for most in (0, 0.7, 1, 11, 24, 30, 501)] == [
        1, 1, 1, 20, 25, 50, 1000,
    ]  # fmt: skip


def test_a_plot_is_well_formed_and_inside_its_frame() -> None:
    points = [(float(x), float(x)) for x in range(10_000)]
    svg = ElementTree.fromstring(plot.line(points, "a & b", "<c>"))
    line = svg.find("polyline")
    assert line is not None
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert len(places) == 500
    assert all(0 <= x <= 420 and 0 <= y <= 220 for x, y in places)
    assert places[0][1] > places[-1][1], "upwards is less in SVG"


def test_the_page_plots_what_was_measured_and_nothing_else() -> None:
    assert page(outcome()).count("<svg") == 6
    assert page(Outcome(SCENARIO)).count("<svg") == 0


def test_the_report_is_json() -> None:
    assert json.loads(report.as_json(report.summary(outcome())))["scenario"]["rooms"] == 3
