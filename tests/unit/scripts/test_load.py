"""Load tests: the command, the arithmetic of the report, and its page."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import scripts.load
from scripts.load import plot, report
from scripts.load.__main__ import main
from scripts.load.page import page
from scripts.load.record import Done, Record, Sample
from scripts.load.run import Outcome
from scripts.load.scenario import MOST_ROOMS, RoomKind, Scenario
from scripts.load.target import Usage, read_usage
from scripts.pump import Figures

SCENARIO = Scenario(rooms=3, kinds=(RoomKind(name="a <b>", people=2),))
# 1 ms and 2 ms, see bucket_floor_us: 32 buckets a doubling.
DELAYS = tuple({190: 3, 222: 1}.get(bucket, 0) for bucket in range(768))
MEDIA = Figures(
    sent=100, expected=100, received=90, received_bytes=9000, missing=10, authenticated=90,
    rtcp=5, other=2, keyframes=2, slipped_us=1500, delays=DELAYS,
)  # fmt: skip
DONE = [
    Done("open", 0.0, 0.01),
    Done("join", 0.1, 0.2),
    Done("join", 0.2, 0.1),
    Done("join", 0.3, failure="no_connection"),
    Done("join", 0.4, failure="timeout"),
    Done("join", 0.5, failure="timeout"),
    Done("end", 3.0, 0.005),
]


def sample(at_s: float, cpu_s: float, rss_mib: float) -> Sample:
    usage = Usage(cpu_s, rss_mib * 2**20)
    return Sample(at_s, 1, 2, sent=50, received=45, missing=5, p99_ms=1.5, usage=usage)


def outcome() -> Outcome:
    samples = [sample(0.0, 1.0, 1.0), sample(2.0, 2.0, 2.0), sample(4.0, 5.0, 1.0)]
    record = Record(done=list(DONE), late_s=[0.001, 0.003], samples=samples)
    return Outcome(SCENARIO, "pump", record, MEDIA, lasted_s=4.04, interrupted=False)


def nothing() -> Outcome:
    """Of a test that found nothing out."""
    return Outcome(SCENARIO, "pump", Record(), Figures(), lasted_s=0.0, interrupted=True)


@pytest.mark.parametrize(
    "options",
    [
        ["--rooms=501"],
        ["--rooms=0"],
        ["--people=1"],
        ["--people=13"],
        ["--duration=3601"],
        ["--ramp=21"],
        ["--bitrate=5001"],
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
    refused = "http://127.0.0.1:9 takes no load test by this key, or is at another address"
    assert f"plumm-load: {refused}" in done.output


def test_libwebrtc_is_an_extra_and_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python finds is None: as where it is not installed.
    monkeypatch.setitem(sys.modules, "webrtc", None)
    monkeypatch.delitem(sys.modules, "scripts.client.libwebrtc", raising=False)
    monkeypatch.delitem(sys.modules, "scripts.client.camera", raising=False)
    done = CliRunner().invoke(
        main, ["http://127.0.0.1:9", "--clients=wrtc"], env={"PLUMM_LOAD_KEY": "k"}
    )
    assert done.exit_code == 2
    assert "--clients wrtc needs libwebrtc: pip install 'plumm[load]'" in done.output


def test_libwebrtc_is_for_tens_of_people() -> None:
    done = CliRunner().invoke(
        main, ["http://127.0.0.1:9", "--clients=wrtc", "--rooms=31"], env={"PLUMM_LOAD_KEY": "k"}
    )
    assert done.exit_code == 2
    assert "62 participants: 60 are the most with --clients wrtc" in done.output


def test_a_scenario_says_itself_who_is_in_its_rooms() -> None:
    done = CliRunner().invoke(
        main, ["http://127.0.0.1:9", "--scenario=churn", "--people=3"], env={"PLUMM_LOAD_KEY": "k"}
    )
    assert done.exit_code == 2
    assert "--people and --bitrate are the scenario's to say" in done.output


def test_more_people_than_open_files_allow_are_refused_before_the_server_is_asked() -> None:
    done = subprocess.run(
        ["bash", "-c", 'ulimit -n 200 && exec "$0" -m scripts.load http://127.0.0.1:9 --rooms=50',
         sys.executable],
        env=os.environ | {"PLUMM_LOAD_KEY": "k"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "100 people need 464 open files: 200 are allowed here" in done.stderr


def test_the_kept_scenarios_are_named() -> None:
    done = CliRunner().invoke(main, ["--scenarios"])
    assert done.exit_code == 0
    assert {line.split()[0] for line in done.output.splitlines()} >= {"churn", "steady"}


def test_a_scenario_that_is_wrong_is_told_by_the_keys_path(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[[kinds]]\npeople = 1")
    done = CliRunner().invoke(
        main, ["http://127.0.0.1:9", f"--scenario={file}"], env={"PLUMM_LOAD_KEY": "k"}
    )
    assert done.exit_code == 2
    assert f"{file}: kinds[0].people: Input should be greater than or equal to 2" in done.output


def test_the_limits_tell_themselves() -> None:
    said = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert f"more than {MOST_ROOMS} rooms, 12 people in one, 1000 in all, 3600 seconds" in said
    assert "1<=x<=500" in said


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [report.percentile(values, p) for p in (0, 50, 95, 100)] == [1.0, 3.0, 5.0, 5.0]


def test_the_report_tells_each_kind_of_action() -> None:
    found = report.summary(outcome())
    assert found["actions"]["join"] == {
        "count": 5,
        "failures": {"no_connection": 1, "timeout": 2},
        "ms": {"p50": 100.0, "p95": 200.0, "p99": 200.0, "max": 200.0},
    }
    assert found["actions"]["refresh"] == {"count": 0, "failures": {}, "ms": None}
    assert (found["failed"], found["interrupted"], found["lasted_s"]) == (3, False, 4.0)
    assert found["late_ms"] == {"p50": 1.0, "p95": 3.0, "p99": 3.0, "max": 3.0}


def test_the_report_tells_media_and_the_server() -> None:
    found = report.summary(outcome())
    media = found["media"]
    assert media["packets"] == {"sent": 100, "received": 90, "not_authentic": 0}
    assert (media["loss"], media["delivered"]) == (0.1, 0.9)
    assert media["delay_ms"]["p50"] < media["delay_ms"]["p99"]
    assert found["generator"] == {"late_ms": 1.5, "unsent": 0}
    assert found["server"] == {"cpu_cores_mean": 1.0, "cpu_cores_max": 1.5, "rss_mib_max": 2.0}
    assert [(one["at_s"], one["cpu_s"], one["rss_mib"]) for one in found["over_time"]] == [
        (0.0, 1.0, 1.0), (2.0, 2.0, 2.0), (4.0, 5.0, 1.0),
    ]  # fmt: skip


def test_what_the_server_holds_back_is_not_delivered_but_not_lost_either() -> None:
    found = report.summary(replace(outcome(), media=replace(MEDIA, expected=200)))
    assert (found["media"]["loss"], found["media"]["delivered"]) == (0.1, 0.45)


def test_what_was_not_measured_is_null() -> None:
    found = report.summary(nothing())
    assert (found["late_ms"], found["server"], found["over_time"]) == (None, None, [])
    assert (found["media"]["loss"], found["media"]["delivered"]) == (None, None)
    assert set(found["media"]["delay_ms"].values()) == {None}


def keys(value: object, path: str = "") -> Iterator[str]:
    """The path of each key, lists told by []."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}{key}"
            yield from keys(inner, f"{path}{key}.")
    elif isinstance(value, list) and value:
        yield from keys(value[0], f"{path.removesuffix('.')}[].")


def test_the_readme_tells_each_key_of_the_report() -> None:
    readme = Path(scripts.load.__file__).with_name("README.md").read_text()
    _, _, section = readme.partition("## The report")
    told = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    found = set(keys(report.summary(outcome())))
    # One row for all actions.
    found = {re.sub(r"^actions\.[a-z_]+", "actions.<action>", path) for path in found}
    assert told <= found
    for path in found:
        inside = any(
            f"{path}.".startswith(f"{one}.") or path.startswith(f"{one}[]") for one in told
        )
        around = any(one.startswith(f"{path}.") for one in told)
        assert inside or around, path


def test_the_servers_figures_are_read_off_its_exposition() -> None:
    text = "# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1.0e+06\n"
    assert read_usage(text) == Usage(1.5, 1e6)
    assert read_usage("<html>") is None


def test_an_axis_ends_at_a_round_number() -> None:
    assert [plot.nice_end(most) for most in (0, 0.7, 1, 11, 24, 30, 501)] == [
        1, 0.8, 1, 12, 24, 32, 600,
    ]  # fmt: skip


def test_a_plot_is_well_formed_and_inside_its_frame() -> None:
    points = [(float(x), float(x)) for x in range(10_000)]
    svg = ElementTree.fromstring(plot.line(points, "a & b", "<c>", 'all "of" it'))
    line = svg.find("polyline")
    assert line is not None
    assert svg.attrib["aria-label"] == 'all "of" it'
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert len(places) == 500
    assert all(0 <= x <= 420 and 0 <= y <= 220 for x, y in places)
    assert places[0][1] > places[-1][1], "upwards is less in SVG"


def test_the_slowest_of_many_is_among_the_dots() -> None:
    points = [(float(x), 1000.0 if x == 4321 else 1.0) for x in range(10_000)]
    svg = ElementTree.fromstring(plot.dots(points, "s", "ms", "waits"))
    tops = [float(dot.attrib["cy"]) for dot in svg.findall("circle")]
    assert len(tops) == 501
    assert min(tops) < 30 < sorted(tops)[1]


def test_the_page_plots_what_was_measured_and_nothing_else() -> None:
    # Six over time, two each of open, join and end, and the delay of packets.
    assert page(outcome()).count("<svg") == 6 + 2 * 3 + 1
    assert page(nothing()).count("<svg") == 0


class Tags(HTMLParser):
    """Checks that each tag is closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("found", [outcome(), nothing()])
def test_the_page_is_whole_and_names_are_no_markup(found: Outcome) -> None:
    html = page(found)
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert "a <b>" not in html
    assert not re.search("https?:|src=|url[(]", html), "it opens without a network"


def test_the_report_is_json() -> None:
    assert json.loads(report.as_json(report.summary(outcome())))["scenario"]["rooms"] == 3
