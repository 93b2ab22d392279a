"""The composition root: which object is given which. The only file that knows them all."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol, Self

import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from media.census import Census, Line
from rooms import audit
from rooms.clock import SystemClock
from rooms.db.engine import Database, StorageFailed
from rooms.db.migrate import check, migrate
from rooms.hooks import Hooks
from rooms.mail.disk import Mailbox
from rooms.mail.hooks import MailHooks, Sender
from rooms.mail.smtp import Smtp, smtp_server
from rooms.outbox import Dispatcher
from rooms.people.passwords import Passwords
from rooms.people.service import People, Revoked
from rooms.people.sign_ins import Lifetimes
from rooms.ports import Clock, MediaPlane
from rooms.receipt import Notary
from rooms.service import SessionService
from rooms.vocabulary import Media, ParticipantId, Quality, SessionId
from signaling.accounts import Accounts
from signaling.admission import AdmissionControl
from signaling.errors import Refused
from signaling.handlers import Negotiator, Services
from signaling.holdings import Holdings
from signaling.http import Api, application
from signaling.hub import Hub
from signaling.lag import LagMeter
from signaling.load_test import LoadTest
from signaling.mailbox import MailboxApi
from signaling.members import Members
from signaling.metrics import EventLoopLag, MediaCensus, Metrics, RelayTotals, TooMuch
from signaling.my_sessions import MySessions
from signaling.operations import Operations
from signaling.overload import Limits, Overload
from signaling.pages import add_pages
from signaling.receipt_key import read_or_make_receipt_key
from signaling.secret import read_or_make_secret
from signaling.settings import BadSettings, Settings
from signaling.tokens import Tokens
from signaling.transport import SocketServer
from signaling.turn import IceServers

log = structlog.get_logger(__name__)

_EXPIRY_CHECK_S: Final = 1.0
_LOAD_LOOKED_AT_EVERY_S: Final = 1.0
# Its longest wait by itself is 1 ms; on a machine that is short of cores it may take some more.
_RELAY_ANSWERS_WITHIN_S: Final = 0.25
# What the server does by itself, once it is told to go.
_WORK_ENDS_WITHIN_S: Final = 0.5
_SIGN_INS_CHECK_S: Final = 10.0
_FORGOTTEN_CHECK_S: Final = 10.0
_OLD_FORGOTTEN_EVERY_S: Final = 3600.0
# Presence that was observed and not stored yet is lost when the process dies.
_OBSERVED_EVERY_S: Final = 1.0


class Sfu(MediaPlane, Negotiator, Protocol):
    """The media plane as a whole: what `media.sfu.Sfu` is."""

    @property
    def port(self) -> int: ...
    async def answers(self, within_s: float) -> bool: ...
    def stats(self) -> dict[str, int]: ...
    @property
    def relay_busy_s(self) -> float: ...
    def census(self) -> Census: ...
    def lines(self, rooms_at_most: int) -> Mapping[str, Sequence[Line]]: ...
    def relay_objects(self) -> dict[str, int]: ...
    async def close(self) -> None: ...


class MediaNews:
    """What the SFU says, to whom it concerns; a `media.sfu.Listener`."""

    def __init__(self, members: Members) -> None:
        self._members = members
        # The rooms need the SFU first; it says nothing before someone joins one.
        self.rooms: SessionService

    def sections_changed(self, session: str, participant: str, sections: object) -> None:
        self._members.sections_changed(session, participant, sections)

    def media_changed(self, session: str, participant: str, state: Media) -> None:
        self.rooms.media_changed(SessionId(session), ParticipantId(participant), state)

    def layers_changed(self, session: str, participant: str, layers: object) -> None:
        self._members.layers_changed(session, participant, layers)

    def quality_changed(self, session: str, participant: str, quality: Quality | None) -> None:
        self.rooms.quality_changed(SessionId(session), ParticipantId(participant), quality)

    def speaker_changed(self, session: str, participant: str | None) -> None:
        speaker = None if participant is None else ParticipantId(participant)
        self.rooms.speaker_changed(SessionId(session), speaker)


StartSfu = Callable[[Settings, Clock, MediaNews], Awaitable[Sfu]]


async def start_sfu(settings: Settings, clock: Clock, news: MediaNews) -> Sfu:
    """The real SFU, on the media port."""
    # Imported here: it loads the native relay, which tests of this package do without.
    from media.sfu import Sfu as RelayingSfu

    return await RelayingSfu.start(
        relay_host=settings.relay_host,
        port=settings.media_port,
        advertised=settings.addresses,
        listener=news,
        clock=clock,
        gather_us=settings.gather_us,
        tcp=settings.media_tcp,
    )


@dataclass(frozen=True, slots=True)
class Plumm:
    """Everything that runs, as one thing to start and to stop."""

    app: web.Application
    sfu: Sfu
    rooms: SessionService
    people: People
    accounts: Accounts
    notary: Notary
    tokens: Tokens
    metrics: Metrics
    members: Members
    sockets: SocketServer
    database: Database
    dispatcher: Dispatcher
    lag: LagMeter
    overload: Overload
    stopping: asyncio.Event
    tasks: Sequence[asyncio.Task[None]]

    @classmethod
    async def start(
        cls, settings: Settings, clock: Clock | None = None, start_media: StartSfu = start_sfu
    ) -> Self:
        """Start all but the web server.

        Raises BadSettings when the data directory cannot be used, DatabaseUnusable, and OSError
        when the media port is taken.
        """
        clock = clock or SystemClock()
        tokens = Tokens(_secret(settings), clock)
        database = await _database(settings)
        metrics = Metrics()
        members = Members()
        news = MediaNews(members)
        try:
            sfu = await start_media(settings, clock, news)
        except OSError:
            await database.close()
            raise
        metrics.watch(RelayTotals(sfu.stats), MediaCensus(sfu.census), Holdings(sfu.relay_objects))
        hooks = Hooks()
        dispatcher = Dispatcher(database, hooks, clock)
        notary = Notary(_receipt_key(settings))
        people = people_of(
            settings,
            clock,
            database,
            hooks,
            committed=dispatcher.wake,
            revoked=lambda ended: hub.sign_ins_over(ended),
        )
        rooms = news.rooms = SessionService(
            clock,
            database,
            hooks,
            sfu,
            members,
            notary,
            max_participants=settings.max_participants,
            overtime=timedelta(minutes=settings.overtime_minutes),
            committed=dispatcher.wake,
        )
        metrics.watch(*database.metrics, *rooms.metrics, dispatcher.tries)
        metrics.watch_outbox(dispatcher.backlog, clock)
        lag = LagMeter(clock)
        lag.start()
        overload = Overload(_limits(settings), clock, lag, lambda: sfu.relay_busy_s, members.people)
        admission = AdmissionControl(rooms, overload)
        accounts = Accounts(
            people=people,
            clock=clock,
            origins=settings.allowed_origins,
            cookie_lasts=timedelta(hours=settings.sign_in_hours),
            proxies=settings.trusted_proxies,
        )
        hub = Hub(
            Services(rooms, sfu, members, clock, _ice_servers(settings), admission),
            tokens,
            people.sign_in_valid,
            metrics,
        )
        sockets = SocketServer(hub, settings.allowed_origins, metrics)
        api = Api(
            rooms=rooms,
            admission=admission,
            people=people,
            accounts=accounts,
            tokens=tokens,
            clock=clock,
            metrics=metrics,
            url=settings.url,
            origins=settings.allowed_origins,
            demo_sessions=settings.demo_sessions,
            check_ready=lambda: _check_ready(sfu, database, dispatcher),
        )
        mine = MySessions(rooms, admission, accounts, tokens, clock, settings.url)
        app = application(settings.allowed_origins, metrics)
        sockets.attach(app)
        api.attach(app)
        accounts.attach(app)
        mine.attach(app)
        if settings.load_key is not None:
            keyed = Tokens(settings.load_key.get_secret_value(), clock)
            LoadTest(rooms, keyed, tokens, clock, settings.url).attach(app)
        if settings.shows_mail:
            MailboxApi(_mailbox(settings), settings.allowed_origins).attach(app)
        add_pages(app, mail=settings.shows_mail)
        metrics.watch(EventLoopLag(lag.lag), TooMuch(overload, lambda: sfu.relay_busy_s))
        Operations(
            accounts=accounts,
            clock=clock,
            media=sfu,
            lag=lag.lag,
            backlog=dispatcher.backlog,
            sockets=lambda: sockets.count,
            refusing=lambda: overload.reasons,
        ).attach(app)
        stopping = asyncio.Event()
        tasks = [
            asyncio.create_task(work)
            for work in (
                dispatcher.run(),
                _every(_EXPIRY_CHECK_S, rooms.expire, stopping),
                _every(_OBSERVED_EVERY_S, rooms.observe, stopping),
                _every(_LOAD_LOOKED_AT_EVERY_S, overload.look, stopping),
                _every(_FORGOTTEN_CHECK_S, rooms.end_forgotten, stopping),
                _every(_SIGN_INS_CHECK_S, lambda: people.end_stale(members.sign_ins()), stopping),
                _every(_OLD_FORGOTTEN_EVERY_S, people.forget_old, stopping),
            )
        ]
        return cls(
            app,
            sfu,
            rooms,
            people,
            accounts,
            notary,
            tokens,
            metrics,
            members,
            sockets,
            database,
            dispatcher,
            lag,
            overload,
            stopping,
            tasks,
        )

    async def stop(self) -> None:
        """Tell everyone, close their sockets, then the media, and last the database."""
        self.stopping.set()
        self.lag.stop()
        self.dispatcher.stop()
        # Not cancelled while they use the database; a mail server may take longer than that.
        _, late = await asyncio.wait(self.tasks, timeout=_WORK_ENDS_WITHIN_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        with suppress(StorageFailed):
            await self.rooms.observe()
        self.members.server_closing()
        await asyncio.sleep(0)  # what is told is queued in the loop's next turn
        await self.sockets.stop()
        await self.rooms.settle()
        await self.accounts.settle()
        self.people.close()
        await self.sfu.close()
        await self.database.close()


def people_of(
    settings: Settings,
    clock: Clock,
    database: Database,
    hooks: Hooks,
    *,
    committed: Callable[[], None] = lambda: None,
    revoked: Revoked = lambda _: None,
) -> People:
    """The people of a database, and in `hooks`, which is empty, all that follows from events."""
    people = People(
        clock,
        database,
        hooks,
        Passwords(),
        lifetimes=Lifetimes(
            idle=timedelta(minutes=settings.sign_in_idle_minutes),
            absolute=timedelta(hours=settings.sign_in_hours),
        ),
        committed=committed,
        revoked=revoked,
    )
    audit.add_to(hooks)
    MailHooks(
        clock,
        database,
        hooks,
        _sender(settings),
        sender_address=settings.sender_address,
        url=settings.url,
        reset_token=people.reset_token,
    )
    return people


def _sender(settings: Settings) -> Sender:
    if settings.smtp_url is None:
        return _mailbox(settings)
    return Smtp(smtp_server(settings.smtp_url.get_secret_value()))


def _mailbox(settings: Settings) -> Mailbox:
    return Mailbox(settings.data_dir / "mail")


def _secret(settings: Settings) -> str:
    """The secret that was set, or the data directory's own."""
    if settings.secret is not None:
        return settings.secret.get_secret_value()
    try:
        return read_or_make_secret(settings.data_dir)
    except OSError as error:
        raise _unusable(settings.data_dir, error) from error


def _receipt_key(settings: Settings) -> Ed25519PrivateKey:
    try:
        return read_or_make_receipt_key(settings.data_dir)
    except OSError as error:
        raise _unusable(settings.data_dir, error) from error


def _make(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(data_dir, error) from error


def _unusable(data_dir: Path, error: OSError) -> BadSettings:
    return BadSettings(f"PLUMM_DATA_DIR: cannot use {data_dir}: {error.strerror or error}")


def _ice_servers(settings: Settings) -> IceServers:
    secret = settings.turn_secret
    return IceServers(settings.turn_urls, secret.get_secret_value() if secret else "")


async def _database(settings: Settings) -> Database:
    """The database, with this version's tables; the embedded one is brought up to date."""
    if settings.database_url is None:
        _make(settings.data_dir)
        await migrate(settings.database)
    else:
        await check(settings.database)
    return await Database.open(settings.database)


def _limits(settings: Settings) -> Limits:
    return Limits(
        lag_s=settings.busy_lag_ms / 1000,
        relay_share=settings.busy_relay_percent / 100,
        people=settings.max_people,
    )


async def _check_ready(sfu: Sfu, database: Database, dispatcher: Dispatcher) -> None:
    """Raise Refused(media.unavailable, outbox.unavailable) or StorageFailed for what is amiss."""
    if not await sfu.answers(_RELAY_ANSWERS_WITHIN_S):
        raise Refused("media.unavailable")
    await database.check()
    if not dispatcher.running:
        raise Refused("outbox.unavailable")


async def _every(
    seconds: float, work: Callable[[], Awaitable[None]], stopping: asyncio.Event
) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stopping.wait()
                return
        try:
            await work()
        except StorageFailed as failure:  # it is tried again, and says the same each time
            log.error("task.failed", task=work.__name__, reason=failure.reason)
        except Exception as failure:
            error_id = secrets.token_hex(4)
            log.error("task.failed", error_id=error_id, task=work.__name__, exc_info=failure)
