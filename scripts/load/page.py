"""The report as one HTML page that needs no network. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Final

from scripts.load import plot, report
from scripts.load.record import DOINGS, Doing
from scripts.load.run import Outcome
from scripts.pump.figures import Figures, bucket_floor_us

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #241c2b; --muted: #6b6070; --ground: #fbf8f5;
  --line: #e5dcd6; --plum: #5b2a6e; --card: #fff; --red: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #f3eaf5; --muted: #b9aec2;
  --ground: #15101a; --line: #3b3145; --plum: #dcb4ec; --card: #2a2231; --red: #ffb4ab; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 40px 0 12px; }
p { margin: 0; color: var(--muted); }
.cards, .plots { display: grid; gap: 16px; margin: 0; }
.cards { grid-template-columns: repeat(auto-fill, minmax(min(200px, 45%), 1fr)); margin-top: 24px; }
.plots { grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr)); }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); }
.cards div, figure, .scroll, details { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; margin: 0; }
.cards div { padding: 12px 16px; }
dt, th span, figcaption span { color: var(--muted); font-size: 14px; }
dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
figure { padding: 16px; }
figcaption { margin-bottom: 8px; }
th span, figcaption span { display: block; }
svg { display: block; width: 100%; font-size: 12px; }
text { fill: var(--muted); }
.grid { stroke: var(--line); fill: none; }
polyline { fill: none; stroke: var(--plum); stroke-width: 2; stroke-linejoin: round; }
circle { fill: var(--plum); fill-opacity: .55; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: 8px 16px; text-align: right; white-space: nowrap; }
thead th { color: var(--muted); font-size: 14px; font-weight: 400; }
thead th:first-child { text-align: left; }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 400; text-align: left; white-space: normal; }
@media (max-width: 600px) { th span { display: none; } th, td { padding: 8px; } }
.failed { color: var(--red); font-weight: 600; }
summary { padding: 12px 16px; cursor: pointer; }
.scroll:focus-visible, summary:focus-visible { outline: 3px solid var(--plum);
  outline-offset: 2px; }
pre { margin: 0; padding: 0 16px 16px; overflow-x: auto; font-size: 14px; }
"""


def page(outcome: Outcome) -> str:
    """The whole document."""
    found = report.summary(outcome)
    title = f"Load test: {outcome.scenario.about}"
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1><p>{escape(_told(outcome))}</p>",
            f'<dl class="cards">{"".join(_cards(found))}</dl>',
            f"<h2>What was done</h2>{_table(found)}",
            *_section("Over time", _over_time(outcome)),
            *_section("How long it took", _waits(outcome), "plots pairs"),
            "<h2>All figures</h2><details><summary>As JSON</summary>",
            f"<pre>{escape(report.as_json(found))}</pre></details></main></body></html>\n",
        )
    )


def _told(outcome: Outcome) -> str:
    scenario = outcome.scenario
    kinds = ", ".join(
        f"{count} x {kind.name} ({kind.people} people, {kind.bitrate_kbit} kbit/s of video each)"
        for kind, count in zip(scenario.kinds, scenario.rooms_of_kinds, strict=True)
    )
    return (
        f"{kinds}; {scenario.duration_s} s, {scenario.ramp:g} rooms begin a second, "
        f"seed {scenario.seed}, clients: {outcome.clients}. "
        f"{'Interrupted' if outcome.interrupted else 'Over'} after {outcome.lasted_s:.0f} s."
    )


def _cards(found: report.Json) -> Iterator[str]:
    media, server = found["media"], found["server"]
    actions = found["actions"]
    yield _card("Rooms opened", f"{actions['open']['count']}")
    yield _card("Joins", f"{actions['join']['count']}")
    yield _card("Failures", f"{found['failed']}", failed=bool(found["failed"]))
    for name, doing in (("Join, p95", "join"), ("First media, p95", "first_media")):
        if actions[doing]["ms"]:
            yield _card(name, f"{actions[doing]['ms']['p95']:g} ms")
    if actions["end"]["ms"]:
        yield _card("End to all, p99", f"{actions['end']['ms']['p99']:g} ms")
    if media["delay_ms"]["p99"] is not None:
        yield _card("Packet delay, p99", f"{media['delay_ms']['p99']:.1f} ms")
    if media["loss"] is not None:
        yield _card("Packets lost", f"{media['loss']:.3%}")
    if server is not None:
        yield _card("Server's CPU, mean", f"{server['cpu_cores_mean']:g} cores")
        yield _card("Server's memory, most", f"{server['rss_mib_max']:g} MiB")


def _card(name: str, value: str, *, failed: bool = False) -> str:
    mark = ' class="failed"' if failed else ""
    return f"<div><dt>{escape(name)}</dt><dd{mark}>{escape(value)}</dd></div>"


def _table(found: report.Json) -> str:
    heads = ("Count", "Failed", "p50", "p95", "p99", "Slowest", "Failures")
    return "".join(
        (
            '<div class="scroll" tabindex="0" role="region" aria-label="What was done">',
            "<table><caption>Each kind of action, how often, and how long it took in ms</caption>",
            '<thead><tr><th scope="col">Action</th>',
            *(f'<th scope="col">{head}</th>' for head in heads),
            "</tr></thead><tbody>",
            *(
                _row(*DOINGS[doing], action)
                for doing, action in found["actions"].items()
                if action["count"]
            ),
            "</tbody></table></div>",
        )
    )


def _row(name: str, what: str, action: report.Json) -> str:
    failures = action["failures"]
    failed = sum(failures.values())
    ms = action["ms"] or {}
    spread = "".join(
        f"<td>{f'{ms[key]:g} ms' if ms else 'none'}</td>" for key in ("p50", "p95", "p99", "max")
    )
    why = ", ".join(f"{code} x {count}" for code, count in failures.items()) or "none"
    mark = ' class="failed"' if failed else ""
    return (
        f'<tr><th scope="row">{escape(name)}<span>{escape(what)}</span></th>'
        f"<td>{action['count']}</td>"
        f"<td{mark}>{failed}</td>{spread}<td>{escape(why)}</td></tr>"
    )


def _section(title: str, figures: Iterator[str], style: str = "plots") -> Iterator[str]:
    """Nothing where nothing was measured."""
    if drawn := "".join(figures):
        yield f'<h2>{escape(title)}</h2><div class="{style}">{drawn}</div>'


def _over_time(outcome: Outcome) -> Iterator[str]:
    samples = outcome.record.samples
    if not samples:
        return
    yield _line("People who send", [(s.at_s, s.people) for s in samples], "people")
    yield _line("Packets that arrived", [(s.at_s, s.received) for s in samples], "packets a second")
    if delays := [(s.at_s, s.p99_ms) for s in samples if s.p99_ms is not None]:
        yield _line("Delay of a packet, p99", delays, "ms")
    if lost := [
        (s.at_s, max(0.0, 100 * s.missing / (s.received + s.missing)))
        for s in samples
        if s.received + s.missing > 0
    ]:
        yield _line("Packets lost", lost, "%")
    if busy := report.busy_cores(samples):
        yield _line("The server's CPU", busy, "cores")
        yield _line("The server's memory", report.rss_mib(samples), "MiB")


def _waits(outcome: Outcome) -> Iterator[str]:
    for doing, (name, what) in DOINGS.items():
        yield from _wait(outcome, doing, name, what)
    if any(outcome.media.delays):
        delays = _delays(outcome.media)
        said = f"Delay of packets up to {delays[-1][0]:g} ms"
        svg = plot.line(delays, "ms", "share", said, y_most=1)
        yield _figure("Delay of a packet", "there and back: the share that was not slower", svg)


def _wait(outcome: Outcome, doing: Doing, name: str, what: str) -> Iterator[str]:
    waits = report.waits_ms(outcome.record, doing)
    if not waits:
        return
    took = [ms for _, ms in waits]
    said = (
        f"{name}: {len(took)} times, half within {report.percentile(took, 50):.0f} ms, "
        f"95 % within {report.percentile(took, 95):.0f} ms, all within {max(took):.0f} ms"
    )
    shares = plot.line(plot.shares(took), "ms", "share", said, y_most=1)
    yield _figure(name, f"{what}: the share that was not slower", shares)
    yield _figure(name, f"{what}: each, by its begin", plot.dots(waits, "s", "ms", said))


def _line(title: str, points: plot.Points, unit: str) -> str:
    values = [y for _, y in points]
    said = f"{title} over time: {min(values):.4g} to {max(values):.4g} {unit}"
    return _figure(title, "in each second", plot.line(points, "s", unit, said))


def _figure(title: str, what: str, svg: str) -> str:
    caption = f"{escape(title)}<span>{escape(what)}</span>"
    return f"<figure><figcaption>{caption}</figcaption>{svg}</figure>"


def _delays(total: Figures) -> list[tuple[float, float]]:
    """(ms, share of packets not slower), up to the slowest that was measured."""
    measured, seen, points = sum(total.delays), 0, []
    for bucket, count in enumerate(total.delays):
        seen += count
        if count:
            points.append((bucket_floor_us(bucket) / 1000, seen / measured))
    return points
