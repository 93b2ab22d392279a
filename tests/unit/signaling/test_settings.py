"""Settings: what the environment may say, and what follows from it."""

from pathlib import Path

import pytest

from signaling.secret import read_or_make_secret, read_secret
from signaling.settings import BadSettings, Settings, read_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PLUMM_{name.upper()}", raising=False)


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"PLUMM_{name.upper()}", value)
    return read_settings()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_defaults_keep_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch)
    assert (chosen.host, chosen.port, chosen.media_port) == ("127.0.0.1", 8080, 8081)
    assert chosen.addresses == ("127.0.0.1",)
    assert chosen.relay_host == "127.0.0.1"
    assert chosen.url == "http://127.0.0.1:8080"
    assert chosen.allowed_origins == ("http://127.0.0.1:8080", "http://localhost:8080")
    assert chosen.demo_sessions
    assert chosen.max_participants == 12


@pytest.mark.parametrize(
    ("environment", "addresses", "relay_host", "url"),
    [
        ({"host": "localhost"}, ("127.0.0.1",), "127.0.0.1", "http://localhost:8080"),
        ({"host": "::1"}, ("::1",), "::1", "http://[::1]:8080"),
        ({"host": "192.0.2.7"}, ("192.0.2.7",), "192.0.2.7", "http://192.0.2.7:8080"),
        (
            {"host": "0.0.0.0", "advertised_ip": "192.0.2.7, 2001:db8::7"},
            ("192.0.2.7", "2001:db8::7"),
            "",
            "http://192.0.2.7:8080",
        ),
        (
            {
                "host": "127.0.0.1",
                "advertised_ip": "192.0.2.7",
                "public_url": "https://plumm.test/",
            },
            ("192.0.2.7",),
            "",
            "https://plumm.test",
        ),
        (
            {"host": "::", "advertised_ip": "2001:db8::7"},
            ("2001:db8::7",),
            "",
            "http://[2001:db8::7]:8080",
        ),
    ],
)
def test_where_browsers_find_web_and_media_follows_from_the_host(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    addresses: tuple[str, ...],
    relay_host: str,
    url: str,
) -> None:
    chosen = settings(monkeypatch, **environment)
    assert (chosen.addresses, chosen.relay_host, chosen.url) == (addresses, relay_host, url)


def test_a_public_server_allows_its_own_origin_only_and_makes_no_demo_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(
        monkeypatch, host="0.0.0.0", advertised_ip="192.0.2.7", public_url="https://plumm.test"
    )
    assert chosen.allowed_origins == ("https://plumm.test",)
    assert not chosen.demo_sessions


def test_origins_and_demo_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch, origins="https://a.test, https://b.test/", demo="off")
    assert chosen.allowed_origins == ("https://a.test", "https://b.test")
    assert not chosen.demo_sessions


def test_behind_a_proxy_a_loopback_host_is_as_public_as_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(monkeypatch, public_url="https://plumm.test", advertised_ip="192.0.2.7")
    assert chosen.allowed_origins == ("https://plumm.test",)
    assert not chosen.demo_sessions
    assert settings(monkeypatch, demo="on").demo_sessions


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("HTTPS://Plumm.Test:443/", "https://plumm.test"),
        ("http://plumm.test:80", "http://plumm.test"),
        ("https://plumm.test:80", "https://plumm.test:80"),
        ("https://plumm.test:", "https://plumm.test"),
        ("http://[2001:DB8::7]:8080", "http://[2001:db8::7]:8080"),
    ],
)
def test_urls_are_taken_as_browsers_write_them(
    monkeypatch: pytest.MonkeyPatch, given: str, origin: str
) -> None:
    chosen = settings(monkeypatch, public_url=given, origins=given)
    assert (chosen.url, chosen.allowed_origins) == (origin, (origin,))


def test_the_port_of_http_is_in_no_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch, port="80")
    assert chosen.allowed_origins == ("http://127.0.0.1", "http://localhost")


def test_a_password_in_a_url_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("public_url", "origins"):
        with pytest.raises(BadSettings, match=f"PLUMM_{name.upper()}: .*user name") as bad:
            settings(monkeypatch, **{name: "https://lena:private@plumm.test"})
        assert "private" not in str(bad.value)
        monkeypatch.delenv(f"PLUMM_{name.upper()}")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, port="", secret="", advertised_ip="").port == 8080


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"port": "99999"}, "PLUMM_PORT"),
        ({"port": "http"}, "PLUMM_PORT"),
        ({"media_port": "-1"}, "PLUMM_MEDIA_PORT"),
        ({"host": "0.0.0.0"}, "PLUMM_ADVERTISED_IP is required"),
        ({"host": ""}, None),
        ({"host": "plumm.test"}, "PLUMM_ADVERTISED_IP is required"),
        ({"advertised_ip": "plumm.test"}, "PLUMM_ADVERTISED_IP"),
        ({"advertised_ip": "0.0.0.0"}, "PLUMM_ADVERTISED_IP"),
        ({"advertised_ip": "fe80::1%eth0"}, "PLUMM_ADVERTISED_IP"),
        ({"public_url": "plumm.test"}, "PLUMM_PUBLIC_URL"),
        ({"public_url": "https://plumm.test/rooms"}, "PLUMM_PUBLIC_URL"),
        ({"public_url": "https://plumm.test:port"}, "PLUMM_PUBLIC_URL"),
        ({"public_url": "https://:8080"}, "PLUMM_PUBLIC_URL"),
        ({"public_url": "https://[::1"}, "PLUMM_PUBLIC_URL"),
        ({"origins": "*"}, "PLUMM_ORIGINS"),
        ({"secret": "too short"}, "PLUMM_SECRET"),
        ({"turn_urls": "turn.test:3478", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn:", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn://turn.test", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn:turn.test:0", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn:turn.test:65536", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn:turn.test?transport=sctp", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn:[2001:db8]:3478", "turn_secret": "s"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "turn:turn.test,https://turn.test"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "stun:stun.test?transport=udp"}, "PLUMM_TURN_URLS"),
        ({"turn_urls": "stun:stun.test,turns:turn.test"}, "PLUMM_TURN_SECRET is required"),
        ({"max_participants": "1"}, "PLUMM_MAX_PARTICIPANTS"),
        ({"gather_us": "6000"}, "PLUMM_GATHER_US"),
        ({"demo": "perhaps"}, "PLUMM_DEMO"),
        ({"log_level": "loud"}, "PLUMM_LOG_LEVEL"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str | None
) -> None:
    if named is None:
        assert settings(monkeypatch, **environment).host == "127.0.0.1"
        return
    with pytest.raises(BadSettings) as bad:
        settings(monkeypatch, **environment)
    assert named in str(bad.value)
    assert "\n" not in str(bad.value)


def test_turn_and_stun_servers_are_urls_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    urls = (
        "turn:turn.test",
        "turn:192.0.2.7:3478?transport=udp",
        "turns:[2001:db8::7]:5349?transport=tcp",
        "stun:stun.test:3478",
    )
    assert settings(monkeypatch, turn_urls=", ".join(urls), turn_secret="s").turn_urls == urls


def test_stun_alone_needs_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, turn_urls="stun:stun.test").turn_urls == ("stun:stun.test",)


def test_what_a_wrong_turn_url_holds_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings) as bad:
        settings(monkeypatch, turn_urls="turn:lena:private@turn.test", turn_secret="hidden")
    assert "private" not in str(bad.value)
    monkeypatch.setenv("PLUMM_TURN_URLS", "turn:turn.test")
    assert "hidden" not in repr(settings(monkeypatch))


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "do not show this, it is a secret!"
    assert "do not show" not in repr(settings(monkeypatch, secret=secret))
    with pytest.raises(BadSettings) as bad:
        settings(monkeypatch, secret="do not show")
    assert "do not show" not in str(bad.value)


def test_the_secret_of_a_data_directory_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "plumm"
    made = read_or_make_secret(data_dir)
    assert len(made) >= 32
    assert read_or_make_secret(data_dir) == read_secret(data_dir) == made
    assert (data_dir / "secret").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in data_dir.iterdir()] == ["secret"]


def test_a_secret_that_another_server_made_meanwhile_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_was_first(_draft: str, target: Path) -> None:
        target.write_text("the other server's secret, long enough")
        target.chmod(0o600)
        raise FileExistsError

    monkeypatch.setattr("os.link", other_was_first)
    assert read_or_make_secret(tmp_path) == "the other server's secret, long enough"
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_load_key_is_long_and_not_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).load_key is None
    with pytest.raises(BadSettings, match="PLUMM_LOAD_KEY: needs 32 characters or more"):
        settings(monkeypatch, load_key="short")
    key = "k" * 32
    with pytest.raises(BadSettings, match="PLUMM_LOAD_KEY is not to be PLUMM_SECRET"):
        settings(monkeypatch, load_key=key, secret=key)
    chosen = settings(monkeypatch, load_key=key, secret="s" * 32)
    assert chosen.load_key is not None
    assert key not in repr(chosen)
