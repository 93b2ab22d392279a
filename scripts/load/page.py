"""The report as one HTML page that needs no network. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Final

from scripts.load import plot, report
from scripts.load.run import Outcome
from scripts.pump.figures import Figures, bucket_floor_us

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #241c2b; --ground: #fbf8f5; --line: #e5dcd6;
  --plum: #5b2a6e; --card: #fff; font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --ink: #f3eaf5; --ground: #15101a;
  --line: #3b3145; --plum: #dcb4ec; --card: #2a2231; } }
body { margin: 0 auto; max-width: 960px; padding: 24px; color: var(--ink);
  background: var(--ground); }
.plots { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); }
figure, pre { margin: 0; padding: 16px; background: var(--card); border-radius: 12px;
  border: 1px solid var(--line); }
pre { margin-top: 16px; overflow-x: auto; }
svg { width: 100%; font-size: 12px; }
text { fill: var(--ink); }
.grid { stroke: var(--line); fill: none; }
polyline { fill: none; stroke: var(--plum); stroke-width: 2; stroke-linejoin: round; }
"""
_WAITS: Final = {
    "join": "Join: from the join token to SRTP keys",
    "first_media": "First media: from the join token to the first packet",
    "end_fanout": "End: from session:end to hearing of it",
}


def page(outcome: Outcome) -> str:
    """The whole document."""
    scenario = outcome.scenario
    title = f"Load test: {scenario.rooms} rooms of {scenario.people}"
    told = (
        f"{scenario.duration_s} s of media in each room, {scenario.bitrate_kbit} kbit/s of video a "
        f"participant, {scenario.ramp:g} rooms a second; {len(outcome.failures)} rooms failed."
    )
    figures = escape(report.as_json(report.summary(outcome)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(told)}</p>"
        f'<div class="plots">{"".join(_plots(outcome))}</div><pre>{figures}</pre></body></html>\n'
    )


def _plots(outcome: Outcome) -> Iterator[str]:
    """Only of what was measured."""
    for name, values in report.waits_ms(outcome).items():
        if values:
            yield _figure(_WAITS[name], plot.shares(values), "ms", "share", 1)
    if any(outcome.media.delays):
        delays = _delays(outcome.media)
        yield _figure("Delay of a packet, there and back", delays, "ms", "share", 1)
    if busy := report.busy_cores(outcome):
        yield _figure("The server's CPU", busy, "s", "cores")
        yield _figure("The server's memory", report.rss_mib(outcome), "s", "MiB")


def _figure(
    title: str, points: plot.Points, x_label: str, y_label: str, y_most: float | None = None
) -> str:
    svg = plot.line(points, x_label, y_label, y_most=y_most)
    caption = escape(f"{title} ({y_label} by {x_label})")
    return f"<figure><figcaption>{caption}</figcaption>{svg}</figure>"


def _delays(total: Figures) -> list[tuple[float, float]]:
    """(ms, share of packets not slower), up to the slowest that was measured."""
    measured, seen, points = sum(total.delays), 0, []
    for bucket, count in enumerate(total.delays):
        seen += count
        if count:
            points.append((bucket_floor_us(bucket) / 1000, seen / measured))
    return points
