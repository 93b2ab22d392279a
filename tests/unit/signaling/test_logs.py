"""Every record has an event of the table in docs/logs.md."""

import ast
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from signaling.logs import configure_logs

ROOT = Path(__file__).parents[3]
PACKAGES = ("signaling", "billing_hooks", "rooms", "media")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a logger in our code."""

    where: str
    level: str
    event: str | None
    fields: frozenset[str]


def table() -> dict[str, list[str]]:
    """event -> its level, fields and meaning, as the page lists them."""
    lines = re.findall(r"^\| `(.+?)` \|(.*)\|$", (ROOT / "docs/logs.md").read_text(), re.M)
    assert len(lines) == len({event for event, _ in lines})
    return {event: [cell.strip() for cell in rest.split("|")] for event, rest in lines}


def calls() -> Iterator[Call]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=args
                    ) if level in LEVELS:
                        event = args[0].value if isinstance(args[0], ast.Constant) else None
                        yield Call(
                            f"{file.relative_to(ROOT)}:{node.lineno}",
                            level,
                            event if isinstance(event, str) else None,
                            frozenset(word.arg or "**" for word in node.keywords),
                        )


def test_every_logger_is_called_log_and_bound_to_nothing() -> None:
    made = re.compile(r"^(.*)structlog\.get_logger\((.*)\)(.*)$", re.M)
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for before, name, after in made.findall(file.read_text()):
                assert (before, name, after) == ("log = ", "__name__", ""), file


def test_every_call_has_an_event_of_the_table_with_its_level_and_fields() -> None:
    known = table()
    for call in calls():
        assert call.event in known, call
        level, fields, _ = known[call.event]
        assert call.level == level, call
        told = call.fields - {"exc_info"}
        assert told <= set(re.findall(r"`(\w+)`", fields)), call


def test_the_table_has_nothing_that_is_never_logged() -> None:
    assert {call.event for call in calls()} | {"library.message"} == set(table())


def test_a_traceback_is_found_by_an_id() -> None:
    for call in calls():
        assert ("exc_info" in call.fields) <= ("error_id" in call.fields), call


@pytest.fixture
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_restored")
def test_what_a_library_says_is_a_record_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("signaling.server").info("server.stopping")
    logging.getLogger("asyncio").warning("%d tasks took long", 3)
    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    common: dict[str, Any] = {"timestamp": ours.pop("timestamp")}
    assert ours == {"event": "server.stopping", "logger": "signaling.server", "level": "info"}
    assert theirs.keys() - common.keys() == {"event", "message", "logger", "level"}
    assert theirs["event"] == "library.message"
    assert theirs["message"] == "3 tasks took long"
