"""All settings, from the environment. The field descriptions are their documentation.

Read once, by the command line; everything else is handed values.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rooms.db.engine import sqlite_url
from rooms.mail.smtp import smtp_server
from rooms.people.accounts import normal_email
from rooms.people.errors import BadEmail
from signaling.secret import MIN_CHARACTERS

_PREFIX: Final = "PLUMM_"
_WILDCARDS: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound

# RFC 7064, 3.1 and RFC 7065, 3.1; the host is a name, an IPv4 or a bracketed IPv6 address.
_ICE_URL: Final = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9][A-Za-z0-9.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<transport>\?transport=(?:udp|tcp))?"
)

# A comma-separated list, not JSON.
_CommaList = Annotated[tuple[str, ...], NoDecode]


class BadSettings(Exception):
    """A setting that cannot be used; the message is one line for a person."""


class Settings(BaseSettings):
    """Every setting is an environment variable: PLUMM_ and the name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address the web server listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Its TCP port; 0: any free one.")
    media_port: int = Field(
        default=8081,
        ge=0,
        le=65535,
        description="UDP port that all media goes through; 0: any free one.",
    )
    media_tcp: bool = Field(
        default=True,
        description="Whether media may also come over TCP, on the same port number: the way "
        "through networks that block UDP.",
    )
    advertised_ip: _CommaList = Field(
        default=(),
        description="IPv4 or IPv6 addresses, comma-separated, at which browsers reach the media "
        "port. Default: the host; required where that is a wildcard or a name.",
    )
    public_url: str = Field(
        default="", description="Where browsers find the server. Default: http://<host>:<port>."
    )
    origins: _CommaList = Field(
        default=(),
        description="Origins, comma-separated, whose pages may open a socket. Default: that of "
        "the public URL; without one, on a loopback host, both 127.0.0.1 and localhost.",
    )
    data_dir: Path = Field(
        default=Path(".plumm"), description="Directory for everything that is kept on disk."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host/name. Default: an SQLite file in the data "
        "directory, whose tables `plumm serve` brings up to date by itself.",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="Signs all tokens; 32 characters or more. Default: made once, in "
        "<data dir>/secret.",
    )
    load_key: SecretStr | None = Field(
        default=None,
        description="The key of load tests (`plumm-load`); 32 characters or more. Default: none, "
        "and there are no load tests.",
    )
    sign_in_idle_minutes: int = Field(
        default=30, ge=1, le=1440, description="Minutes unused after which a sign-in is over."
    )
    sign_in_hours: int = Field(
        default=12, ge=1, le=720, description="Hours after which it is over however much used."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks, comma-separated, of the proxies in front, whose "
        "X-Forwarded-For says where a request comes from.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="The mail server: smtps://user:password@host, or smtp:// for STARTTLS. "
        "Default: mail is written to <data dir>/mail.",
    )
    mail_from: str = Field(
        default="",
        description="Address that mail comes from. Default: no-reply@<host of the public URL>.",
    )
    turn_urls: _CommaList = Field(
        default=(),
        description="TURN and STUN servers, comma-separated, for browsers that cannot reach the "
        "media port: turn:turn.example.org:3478?transport=udp, turns:…, stun:….",
    )
    turn_secret: SecretStr | None = Field(
        default=None,
        description="The secret shared with the TURN servers (coturn's static-auth-secret); "
        "participants get credentials made from it that expire.",
    )
    max_participants: int = Field(default=12, ge=2, le=100, description="Most people in a room.")
    max_people: int = Field(
        default=5000,
        ge=2,
        description="Most people in all rooms; newcomers are told that the server is busy.",
    )
    busy_lag_ms: int = Field(
        default=200,
        ge=20,
        description="Milliseconds that events may wait for the event loop (the 99th percentile of "
        "ten seconds) before newcomers are told so.",
    )
    busy_relay_percent: int = Field(
        default=85,
        ge=1,
        description="Percentage of its time that the media relay's thread may be at work (over "
        "five seconds) before newcomers are told so; above 100: never.",
    )
    overtime_minutes: int = Field(
        default=120,
        ge=1,
        le=1440,
        description="Minutes past its booked end after which a session ends with people in it.",
    )
    gather_us: int = Field(
        default=1000,
        ge=0,
        le=5000,
        description="Microseconds that media packets may gather before a wake-up under load.",
    )
    demo: bool | None = Field(
        default=None,
        description="Whether the home page may make demo sessions. Default: on a loopback host "
        "without a public URL.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="How it is written to stderr."
    )

    @field_validator("advertised_ip", "origins", "trusted_proxies", "turn_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("advertised_ip")
    @classmethod
    def _reachable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                address = ip_address(text)
            except ValueError:
                raise ValueError(f"{text} is not an IPv4 or IPv6 address") from None
            if address.is_unspecified or address.is_multicast or "%" in text:
                raise ValueError(f"{text} is not an address a browser can reach")
        return value

    @field_validator("turn_urls")
    @classmethod
    def _ice_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_is_ice_url(url) for url in value):
            # Not repeated: it may hold a password.
            raise ValueError(
                "each is a URL such as turn:turn.example.org:3478?transport=udp, "
                "turns:turn.example.org or stun:stun.example.org, without user name or password"
            )
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            smtp_server(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return value and normal_email(value)
        except BadEmail:
            raise ValueError(f"{value} is not an e-mail address") from None

    @field_validator("secret", "load_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_CHARACTERS:
            raise ValueError(f"needs {MIN_CHARACTERS} characters or more")
        return value

    @field_validator("public_url", "origins")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, str):
            return value and _origin(value)
        return tuple(_origin(url) for url in value)

    @model_validator(mode="after")
    def _advertised_or_known(self) -> Self:
        if not self.advertised_ip and self._host_ip is None:
            raise ValueError(
                f"{_PREFIX}ADVERTISED_IP is required with {_PREFIX}HOST={self.host}: "
                "give the address at which browsers reach this machine"
            )
        return self

    @model_validator(mode="after")
    def _load_key_of_its_own(self) -> Self:
        if self.load_key is not None and self.load_key == self.secret:
            raise ValueError(f"{_PREFIX}LOAD_KEY is not to be {_PREFIX}SECRET: testers know it")
        return self

    @model_validator(mode="after")
    def _credentials_for_turn(self) -> Self:
        if self.turn_secret is None and any(url.startswith("turn") for url in self.turn_urls):
            raise ValueError(
                f"{_PREFIX}TURN_SECRET is required with a turn: URL in {_PREFIX}TURN_URLS"
            )
        return self

    # What is to be used, defaults worked out.

    @property
    def database(self) -> str:
        """The URL of the database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return sqlite_url(self.data_dir / "plumm.sqlite3")

    @property
    def addresses(self) -> tuple[str, ...]:
        """What browsers are told to send media to."""
        return self.advertised_ip or (self._host_ip or "",)

    @property
    def relay_host(self) -> str:
        """What the media port is bound to: the host if browsers reach it there, else all."""
        return self.addresses[0] if self.addresses == (self._host_ip,) else ""

    @property
    def url(self) -> str:
        """Where browsers find the server, without a slash at the end."""
        name = self.addresses[0] if self.host in _WILDCARDS else self.host
        return self.public_url or _origin(f"http://{_in_url(name)}:{self.port}")

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Whose pages may open a socket."""
        if self.origins:
            return self.origins
        if not self._is_local:
            return (self.url,)
        twins = (_origin(f"http://{name}:{self.port}") for name in ("127.0.0.1", "localhost"))
        return tuple(dict.fromkeys((self.url, *twins)))

    @property
    def demo_sessions(self) -> bool:
        """Whether anyone who reaches the home page may make a session."""
        return self._is_local if self.demo is None else self.demo

    @property
    def sender_address(self) -> str:
        """What mail comes from."""
        host = urlsplit(self.public_url).hostname
        return self.mail_from or f"no-reply@{host or 'localhost'}"

    @property
    def shows_mail(self) -> bool:
        """Whether the mails on disk are shown to whoever reaches the web server."""
        return self._is_local and self.smtp_url is None

    @property
    def _is_local(self) -> bool:
        """Only people at this machine reach the web server: no proxy in front has a URL."""
        if self.public_url or self._host_ip is None:
            return False
        return ip_address(self._host_ip).is_loopback

    @property
    def _host_ip(self) -> str | None:
        """The host as an address that can be advertised; None for a wildcard or a name."""
        if self.host == "localhost":
            return "127.0.0.1"
        try:
            address = ip_address(self.host)
        except ValueError:
            return None
        return None if address.is_unspecified else str(address)


def read_settings() -> Settings:
    """The settings of the environment. Raises BadSettings for the first that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        raise BadSettings(_first_fault(error)) from None


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return message
    return f"{_PREFIX}{str(first['loc'][0]).upper()}: {message}"


def _origin(url: str) -> str:
    """An origin as browsers write it: in lower case, without its scheme's port, no slash.

    Raises ValueError for what is no such URL or says more than an origin.
    Source: RFC 6454, 6.1.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:  # not repeated: it may hold a password
        raise ValueError("a URL here has no user name or password")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is not an http:// or https:// URL")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{url} has more than scheme, host and port")
    default = 443 if parts.scheme == "https" else 80
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{_in_url(parts.hostname)}{port}"


def _is_ice_url(url: str) -> bool:
    parts = _ICE_URL.fullmatch(url)
    if parts is None or (parts["transport"] and parts["scheme"].startswith("stun")):
        return False
    if parts["ipv6"]:
        try:
            ip_address(parts["ipv6"])
        except ValueError:
            return False
    return parts["port"] is None or 0 < int(parts["port"]) <= 65535


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
