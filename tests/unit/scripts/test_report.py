"""The benchmark's summary and its table."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from scripts.bench import report
from scripts.bench.forwarding import Sample, summarise


def sample(us_per_packet: float, foreign: float = 0.01) -> Sample:
    return Sample(us_per_packet, 1000.0, 0.0, 80.0, 200.0, 1.0, 0, 0, foreign)


def shown(figures: dict[str, float], earlier: dict[str, float] | None = None) -> str:
    text = io.StringIO()
    report.show(Console(file=text, width=160), figures, earlier)
    return text.getvalue()


def test_a_ratio_is_the_median_of_neighbours_not_the_ratio_of_medians() -> None:
    figures = summarise(
        {
            ("bare_loop", "saturated"): [sample(4), sample(8), sample(8)],
            ("relay", "saturated"): [sample(4), sample(4), sample(12)],
        }
    )
    assert figures["relay.saturated.us_per_packet"] == 4
    assert figures["bare_loop.saturated.us_per_packet"] == 8
    assert figures["relay.saturated.ratio_to_bare_loop"] == 1.0
    assert figures["relay.saturated.us_per_packet_most"] == 12
    assert "relay.saturated.ratio_to_asyncio_loop" not in figures


def test_spoilt_samples_count_only_where_there_are_no_others() -> None:
    figures = summarise(
        {
            ("bare_loop", "saturated"): [sample(4), sample(9, foreign=0.5), sample(6)],
            ("relay", "saturated"): [sample(8, foreign=0.5), sample(3), sample(3)],
            ("bare_loop", "at_20000"): [sample(10, foreign=0.5)],
            ("relay", "at_20000"): [sample(5)],
        }
    )
    assert figures["bare_loop.saturated.us_per_packet"] == 5
    assert figures["relay.saturated.us_per_packet"] == 3
    assert figures["relay.saturated.ratio_to_bare_loop"] == 0.5
    assert figures["relay.at_20000.ratio_to_bare_loop"] == 0.5
    assert figures["bare_loop.at_20000.foreign"] == 0.5


def test_the_table_says_which_goal_is_met() -> None:
    text = shown({"setup.cpu_ms_per_connection": 2.5, "join.first_frame_p95_ms": 700})
    assert "2.50 ms" in text
    assert "≤ 3.00 ms ✓" in text
    assert "≤ 600 ms ✗" in text


def test_some_goals_are_the_least_that_a_figure_may_be() -> None:
    text = shown({"rush.per_second": 39.0, "signaling.sockets": 5000.0})
    assert "≥ 40 ✗" in text
    assert "≥ 5,000 ✓" in text


def test_a_figure_has_its_ratios_beside_it() -> None:
    text = shown({"end.p50_ms": 12.0, "end.p50_ms.to_bare": 8.0, "end.p50_ms.growth": 1.25})
    assert "12.0 ms" in text
    assert "8.00 x" in text
    assert "1.25 x" in text


def test_an_earlier_result_is_shown_beside_with_the_change() -> None:
    now, before = {"rooms.rss_mib_empty": 90.0}, {"rooms.rss_mib_empty": 80.0}
    assert "80 MiB (+12%)" in shown(now, before)
    assert "(" not in shown(now, {"rooms.rss_mib_full": 80.0})


def test_an_earlier_packet_is_shown_beside_too() -> None:
    figures = summarise({("relay", "saturated"): [sample(4)]})
    earlier = summarise({("relay", "saturated"): [sample(5)]})
    assert "5.00 (-20%)" in shown(figures, earlier)


def test_a_disturbed_run_says_so() -> None:
    assert "run it again" in shown({"relay.saturated.foreign": 0.5})


def test_figures_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "latest.json"
    report.write({"relay.saturated.us_per_packet": 4.25}, path)
    assert report.read(path) == {"relay.saturated.us_per_packet": 4.25}


def test_a_part_that_was_not_measured_keeps_its_last_figures(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    assert report.update(path, {"setup.a": 1.0}) == {"setup.a": 1.0}
    report.write({"setup.a": 1.0, "setup.gone": 1.0, "join.b": 2.0}, path)
    assert report.update(path, {"setup.a": 3.0}) == {"setup.a": 3.0, "join.b": 2.0}


def test_another_file_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a benchmark's result"):
        report.read(path)
