"""The `plumm` command. Exit status: 0 done, 1 failed, 2 used or set up wrongly."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, get_args

import click
import uvloop

from rooms.clock import SystemClock
from rooms.db.engine import Database, DatabaseUnusable, StorageFailed
from rooms.hooks import Hooks
from rooms.vocabulary import UserRole
from signaling.logs import configure_logs
from signaling.secret import read_secret
from signaling.settings import BadSettings, Settings, read_settings
from signaling.tokens import Tokens

if TYPE_CHECKING:
    from rooms.people.service import People

_MADE: Final = ("session_id", "therapist_url", "client_url")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="plumm")
def main() -> None:
    """Plumm: video rooms for therapy, through their own media relay.

    Settings come from the environment (PLUMM_HOST, PLUMM_PORT, ...);
    `plumm serve --help` lists them.
    """


def _settings_help() -> str:
    lines = ["Serve until SIGTERM or Ctrl+C.", "", "Settings, from the environment:"]
    for name, field in Settings.model_fields.items():
        default = f" [{field.default}]" if field.default not in (None, "", ()) else ""
        lines += ["", f"PLUMM_{name.upper()}: {field.description}{default}"]
    return "\n".join(lines)


@main.command(help=_settings_help())
def serve() -> None:
    settings = _settings()
    configure_logs(settings.log_level, settings.log_format)
    # Imported here: the relay need not be built for the other commands.
    from signaling.server import CannotListen
    from signaling.server import serve as run

    def ready(bound: Settings) -> None:
        click.echo(f"Plumm is ready. Open {bound.url} (Ctrl+C stops it).")

    try:
        uvloop.run(run(settings, ready))
    except BadSettings as error:
        _fail(str(error), status=2)
    except (CannotListen, DatabaseUnusable) as error:
        _fail(str(error))


@main.command()
def migrate() -> None:
    """Bring the database's tables to this version; does nothing when they are."""
    # Imported here: the other commands do without.
    from rooms.db.migrate import migrate as run

    settings = _settings()
    try:
        if settings.database_url is None:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        before, after = asyncio.run(run(settings.database))
    except (DatabaseUnusable, OSError) as error:
        _fail(str(error))
    if before == after:
        click.echo(f"The database is up to date ({after}).")
    else:
        click.echo(f"The database went from {before or 'nothing'} to {after}.")


@main.command()
@click.option(
    "--parked",
    is_flag=True,
    required=True,
    expose_value=False,
    help="Those that were given up.",
)
@click.option("--retry", is_flag=True, help="Make them due again; a running server takes them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def deliver(*, retry: bool, as_json: bool) -> None:
    """See the deliveries of events that failed too often, and have them tried again."""
    # Imported here: the other commands do without.
    from rooms import outbox

    async def work(database: Database) -> tuple[list[outbox.Delivery], int]:
        async with database.transaction() as connection:
            found = await outbox.parked(connection)
            again = retry and await outbox.retry_parked(connection, SystemClock().now())
        return found, int(again)

    found, again = _with_database(work)
    if as_json:
        rows = [asdict(one) | {"due_at": one.due_at.isoformat()} for one in found]
        click.echo(json.dumps({"parked": rows, "retried": again}))
        return
    for one in found:
        click.echo(f"{one.event_id}  {one.type} -> {one.hook}  log: {one.error_id}")
    told = f"{again} are tried again." if retry else f"{len(found)} are parked."
    click.echo(told)


@main.group("audit")
def audit_log() -> None:
    """The audit log: who did what, when."""


@audit_log.command("verify")
def verify_audit() -> None:
    """Check that nothing in the log was changed. Status 0: it is whole; 1: it is not."""
    # Imported here: the other commands do without.
    from rooms import audit

    async def work(database: Database) -> tuple[int, bytes]:
        async with database.reading() as connection:
            return await audit.verify(connection)

    try:
        count, last = _with_database(work)
    except audit.BrokenChain as broken:
        _fail(str(broken))
    click.echo(f"The audit log is whole: {count} rows, the last {last.hex()}.")


T = TypeVar("T")


def _with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` gives with this command's own connection to the database."""
    # Imported here: the other commands do without.
    from rooms.db.migrate import check

    settings = _settings()

    async def run() -> T:
        await check(settings.database)
        database = await Database.open(settings.database)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (DatabaseUnusable, StorageFailed) as error:
        _fail(str(error))


@main.group()
def user() -> None:
    """Accounts: who may sign in."""


@user.command("add")
@click.argument("email")
@click.option("--name", required=True, help="As others see it.")
@click.option("--role", required=True, type=click.Choice(get_args(UserRole)))
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")
def add_user(*, email: str, name: str, role: UserRole, password_stdin: bool) -> None:
    """Make an account. Without a password, its owner gets a mail with which to choose one."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None

    async def work(people: "People") -> None:
        await people.add(email, name, role, password)
        if password is None:
            await people.request_reset(email)

    _with_people(work)
    if password is None:
        click.echo("The account is made. A mail was requested with which to choose the password.")
    else:
        click.echo("The account is made.")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def list_users(*, as_json: bool) -> None:
    """Print all accounts, by address."""
    everyone = _with_people(lambda people: people.everyone())
    if as_json:
        click.echo(json.dumps({"users": [asdict(one) for one in everyone]}))
        return
    for one in everyone:
        closed = "  (disabled)" if one.disabled else ""
        click.echo(f"{one.id}  {one.role:<9}  {one.email}  {one.name}{closed}")


@user.command("disable")
@click.argument("email")
def disable_user(*, email: str) -> None:
    """Close an account: it is signed out everywhere, and cannot sign in again."""
    _with_people(lambda people: people.disable(email))
    click.echo("The account is disabled.")


def _with_people(work: Callable[["People"], Awaitable[T]]) -> T:
    """What `work` gives, or one line about what was refused."""
    # Imported here: the other commands do without.
    from rooms.people import errors
    from signaling.wiring import people_of

    async def run(database: Database) -> T:
        people = people_of(_settings(), SystemClock(), database, Hooks())
        try:
            return await work(people)
        finally:
            people.close()

    try:
        return _with_database(run)
    except errors.BadEmail:
        _fail("that is not an e-mail address", status=2)
    except errors.BadName:
        _fail("a name has 1 to 80 characters, in one line", status=2)
    except errors.PasswordWeak:
        _fail("a password has 12 to 1024 characters, and is not the e-mail address")
    except errors.UserExists:
        _fail("somebody has this e-mail address already")
    except errors.UserUnknown:
        _fail("nobody has this e-mail address")


@main.group()
def receipt() -> None:
    """Signed receipts of sessions that ended."""


@receipt.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", metavar="KEY", help="The public key. Default: the data directory's.")
@click.option("--json", "as_json", is_flag=True, help="Print what it says as one JSON object.")
def verify_receipt(file: Path, key: str | None, *, as_json: bool) -> None:
    """Check a receipt, offline. Status 0: it is as the server signed it; 1: it is not."""
    # Imported here: the other commands do without.
    from rooms.receipt import BadReceipt, verify

    try:
        said = verify(file.read_bytes(), key or _public_key())
    except (BadReceipt, OSError) as error:
        _fail(str(error))
    if as_json:
        click.echo(json.dumps(said))
        return
    click.echo(f"The receipt is good: session {said['session']}, {said['cause']}.")
    for name in ("live_since", "ended_at", "confirmed_at", "duration_s", "overlap_s"):
        click.echo(f"  {name}: {said[name]}")


@receipt.command("key")
def show_key() -> None:
    """Print the public key that this server's receipts are checked with."""
    click.echo(_public_key())


def _public_key() -> str:
    # Imported here: the other commands do without.
    from rooms.receipt import Notary
    from signaling.receipt_key import read_receipt_key

    try:
        return Notary(read_receipt_key(_settings().data_dir)).public_key
    except OSError as error:
        _fail(f"cannot read the server's key: {error}; give one with --key")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--server", metavar="URL", help="The running server. Default: PLUMM_PUBLIC_URL.")
@click.option("--therapist", default="Dr. Lena Hart", show_default=True, help="Their name.")
@click.option("--client", default="Maya Lind", show_default=True, help="Their name.")
@click.option("--other", "others", multiple=True, help="A further client's name; repeatable.")
@click.option("--minutes", default=60, show_default=True, help="The booked length.")
@click.option("--partner", is_flag=True, help="Also join as the client, and stay until the end.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --partner: play this video instead of the test picture.",
)
def demo(
    *,
    as_json: bool,
    server: str | None,
    therapist: str,
    client: str,
    others: tuple[str, ...],
    minutes: int,
    partner: bool,
    file: Path | None,
) -> None:
    """Make a session that starts now, on a running server; print its two links.

    The server must have the same PLUMM_DATA_DIR (or PLUMM_SECRET) as this command.
    """
    settings = _settings()
    address = (server or settings.url).rstrip("/")
    wanted = {
        "therapist": therapist,
        "client": client,
        "others": list(others),
        "minutes": minutes,
    }
    made = asyncio.run(_make_session(address, _admin_token(settings), wanted))
    if as_json:
        click.echo(json.dumps(made))
    else:
        click.echo(f"Session {made['session_id']}, {minutes} minutes from now.")
        click.echo(f"  {therapist} (therapist): {made['therapist_url']}")
        click.echo(f"  {client} (client): {made['client_url']}")
        for other, url in zip(others, made.get("other_urls", ()), strict=True):
            click.echo(f"  {other} (client): {url}")
    if partner:
        _be_partner(made["client_url"], file)


async def _make_session(address: str, admin_token: str, wanted: dict[str, Any]) -> dict[str, Any]:
    # Imported here: `serve` and `--help` do without a client.
    from signaling.client import RefusedByServer, post

    try:
        return await post(f"{address}/api/sessions", admin_token, wanted, expected=_MADE)
    except ConnectionError:
        _fail(f"no Plumm server answers at {address}; start one with `plumm serve`")
    except RefusedByServer as refusal:
        if refusal.code.startswith("token."):
            _fail(
                f"the server at {address} has another secret: "
                "use its PLUMM_DATA_DIR or PLUMM_SECRET"
            )
        _fail(f"the server refused: {refusal.message}")


def _admin_token(settings: Settings) -> str:
    try:
        # The server made it; a command that makes its own would only be refused.
        secret = (
            read_secret(settings.data_dir)
            if settings.secret is None
            else settings.secret.get_secret_value()
        )
    except OSError as error:
        _fail(f"cannot read the server's secret: {error}; start one with `plumm serve`")
    return Tokens(secret, SystemClock()).admin()


def _be_partner(room_url: str, file: Path | None) -> None:
    # Imported here: the codecs take a second to load.
    import av

    from signaling.client import RefusedByServer
    from signaling.demo_partner import run

    click.echo("The partner is in the room; Ctrl+C takes it out.", err=True)
    try:
        run(room_url, file)
    except KeyboardInterrupt:
        return
    except (RefusedByServer, OSError, av.FFmpegError) as error:
        _fail(f"the partner could not stay: {error}")


def _settings() -> Settings:
    try:
        return read_settings()
    except BadSettings as error:
        _fail(str(error), status=2)


def _fail(message: str, *, status: int = 1) -> NoReturn:
    click.echo(f"plumm: {message}", err=True)
    sys.exit(status)
