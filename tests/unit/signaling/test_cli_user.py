"""`plumm user`: accounts, from the command line."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from rooms.db.engine import Database, sqlite_url
from rooms.db.schema import deliveries, events
from signaling.cli import main
from tests.support.eventually import eventually
from tests.support.server import Server

PASSWORD = "a long enough password"
ADD = ["user", "add", "lena@example.org", "--name", "Lena", "--role", "therapist"]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv("PLUMM_DATA_DIR", str(tmp_path))
    runner = CliRunner()
    assert runner.invoke(main, ["migrate"]).exit_code == 0
    return runner


def add(runner: CliRunner, password: str = PASSWORD) -> Result:
    return runner.invoke(main, [*ADD, "--password-stdin"], input=f"{password}\n")


def listed(runner: CliRunner) -> list[dict[str, object]]:
    result = runner.invoke(main, ["user", "list", "--json"])
    assert result.exit_code == 0
    users: list[dict[str, object]] = json.loads(result.stdout)["users"]
    return [{k: v for k, v in one.items() if k != "id"} for one in users]


def test_a_user_is_added_listed_and_disabled(runner: CliRunner) -> None:
    lena = {"email": "lena@example.org", "name": "Lena", "role": "therapist", "disabled": False}
    assert listed(runner) == []
    assert add(runner).exit_code == 0
    assert listed(runner) == [lena]
    assert "lena@example.org" in runner.invoke(main, ["user", "list"]).stdout
    for _ in range(2):
        assert runner.invoke(main, ["user", "disable", "LENA@example.org"]).exit_code == 0
    assert listed(runner) == [lena | {"disabled": True}]
    assert "(disabled)" in runner.invoke(main, ["user", "list"]).stdout


def test_without_a_password_a_mail_is_requested(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(main, ADD)
    assert (result.exit_code, "mail" in result.stdout) == (0, True)

    async def due() -> list[tuple[str, str]]:
        database = await Database.open(sqlite_url(tmp_path / "plumm.sqlite3"))
        async with database.reading() as connection:
            found = await connection.execute(
                select(events.c.type, deliveries.c.hook).join(
                    deliveries, deliveries.c.event_id == events.c.id
                )
            )
            rows = [(kind, hook) for kind, hook in found.all()]
        await database.close()
        return rows

    assert set(asyncio.run(due())) == {
        ("user.added", "audit"),
        ("user.password_reset_requested", "audit"),
        ("user.password_reset_requested", "password_reset"),
    }


@pytest.mark.parametrize(
    ("words", "password", "status"),
    [
        (["lena", "--name", "Lena", "--role", "client"], PASSWORD, 2),
        (["x@example.org", "--name", "L\nBcc: x", "--role", "client"], PASSWORD, 2),
        (["x@example.org", "--name", " ", "--role", "client"], PASSWORD, 2),
        (["x@example.org", "--name", "X", "--role", "boss"], PASSWORD, 2),
        (["x@example.org", "--role", "client"], PASSWORD, 2),
        (["x@example.org", "--name", "X", "--role", "client"], "short", 1),
        (["x@example.org", "--name", "X", "--role", "client"], "", 1),
        (["taken@example.org", "--name", "X", "--role", "client"], PASSWORD, 1),
    ],
)
def test_what_cannot_be_added_is_said_and_changes_nothing(
    runner: CliRunner, words: list[str], password: str, status: int
) -> None:
    taken = ["user", "add", "Taken@example.org", "--name", "T", "--role", "client"]
    assert runner.invoke(main, taken).exit_code == 0
    before = listed(runner)
    result = runner.invoke(main, ["user", "add", *words, "--password-stdin"], input=f"{password}\n")
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr
    assert not password or password not in result.stderr
    assert listed(runner) == before


def test_nobody_is_disabled_by_an_address_that_nobody_has(runner: CliRunner) -> None:
    result = runner.invoke(main, ["user", "disable", "nobody@example.org"])
    assert (result.exit_code, result.stderr) == (1, "plumm: nobody has this e-mail address\n")


def test_a_database_without_tables_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLUMM_DATA_DIR", str(tmp_path / "new"))
    for words in (ADD, ["user", "list"], ["user", "disable", "lena@example.org"]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1


async def test_a_running_server_sends_the_mail_and_logs_nothing_of_it(
    runner: CliRunner, tmp_path: Path
) -> None:
    with Server(tmp_path, PLUMM_LOG_LEVEL="debug") as server:
        await asyncio.to_thread(runner.invoke, main, ADD)
        async with aiohttp.ClientSession() as http:

            async def mailed() -> str:
                async with http.get(f"{server.url}/api/mail") as response:
                    shown = (await response.json())["mails"]
                assert len(shown) == 1
                return str(shown[0]["text"])

            text = await eventually(mailed)
    token = text.partition("/reset#")[2].split()[0]
    for private in ("Lena", "lena@", token):
        assert private not in server.log
