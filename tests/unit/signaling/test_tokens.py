"""Tokens: only ours, only for their purpose, only in time."""

import base64
import json
from datetime import timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.vocabulary import ParticipantId, SessionId
from signaling.errors import Refused
from signaling.tokens import JOIN_TOKEN_LIFETIME, Grant, Tokens, _derived_key
from tests.support.fake_clock import FakeClock
from tests.unit.signaling.harness import SECRET

GRANT = Grant(SessionId("s1"), ParticipantId("p1"), "client")
Claims = dict[str, object]
CLAIMS: Claims = {"session": "s1", "sub": "p1", "role": "client", "aud": "plumm-join"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> Tokens:
    return Tokens(SECRET, clock)


def refusal(tokens: Tokens, token: object) -> str:
    with pytest.raises(Refused) as refused:
        tokens.read_join(token)
    return refused.value.code


def forged(clock: FakeClock, claims: Claims | None = None, algorithm: str = "HS256") -> str:
    """A join token of a forger who has the key; a claim of None is left out."""
    expires_at = int((clock.now() + timedelta(minutes=1)).timestamp())
    body = {**CLAIMS, "exp": expires_at, **(claims or {})}
    present = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(present, _derived_key(SECRET, "join"), algorithm=algorithm)


def test_a_token_says_whom_it_was_made_for(tokens: Tokens, clock: FakeClock) -> None:
    assert tokens.read_join(tokens.join(GRANT)) == GRANT
    assert tokens.read_link(tokens.link(GRANT, clock.now() + timedelta(days=1))) == GRANT
    tokens.check_admin(tokens.admin())
    tokens.check_load(tokens.load())


def test_a_forger_with_the_key_would_succeed_so_the_other_tests_can_fail(
    tokens: Tokens, clock: FakeClock
) -> None:
    assert tokens.read_join(forged(clock)) == GRANT


def test_a_token_is_good_until_its_very_second(tokens: Tokens, clock: FakeClock) -> None:
    token = tokens.join(GRANT)
    clock.advance(JOIN_TOKEN_LIFETIME.total_seconds() - 1)
    assert tokens.read_join(token) == GRANT
    clock.advance(1)
    assert refusal(tokens, token) == "token.expired"


def test_a_join_token_lives_for_five_minutes_at_most() -> None:
    assert timedelta(minutes=5) >= JOIN_TOKEN_LIFETIME


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_called_missing(tokens: Tokens, token: object) -> None:
    assert refusal(tokens, token) == "token.missing"


def test_an_unsigned_token_is_refused_however_it_is_spelled(
    tokens: Tokens, clock: FakeClock
) -> None:
    signed = forged(clock).split(".")
    for algorithm in ("none", "None", "NONE", ""):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=")
        for signature in ("", signed[2]):
            token = f"{header.decode()}.{signed[1]}.{signature}"
            assert refusal(tokens, token) == "token.invalid"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_with_the_right_key(
    tokens: Tokens, clock: FakeClock, algorithm: str
) -> None:
    assert refusal(tokens, forged(clock, algorithm=algorithm)) == "token.invalid"


def test_a_foreign_key_is_refused(tokens: Tokens, clock: FakeClock) -> None:
    foreign = Tokens("another secret, also 32 characters", clock)
    assert refusal(tokens, foreign.join(GRANT)) == "token.invalid"


def test_a_token_of_another_purpose_is_refused(tokens: Tokens, clock: FakeClock) -> None:
    for token in (tokens.link(GRANT, clock.now() + timedelta(days=1)), tokens.admin()):
        assert refusal(tokens, token) == "token.invalid"
    for check, foreign in (
        (tokens.check_admin, tokens.join(GRANT)),
        (tokens.check_admin, tokens.load()),
        (tokens.check_load, tokens.admin()),
    ):
        with pytest.raises(Refused, match=r"token\.invalid"):
            check(foreign)


@pytest.mark.parametrize("aud", [None, "plumm-link", ["plumm-join"], ["plumm-join", "x"], 7])
def test_the_audience_is_exactly_ours(tokens: Tokens, clock: FakeClock, aud: object) -> None:
    assert refusal(tokens, forged(clock, {"aud": aud})) == "token.invalid"


@pytest.mark.parametrize("exp", [None, "soon", 1e30, [], {}])
def test_a_token_without_a_proper_expiry_is_refused(
    tokens: Tokens, clock: FakeClock, exp: object
) -> None:
    assert refusal(tokens, forged(clock, {"exp": exp})) == "token.invalid"


@pytest.mark.parametrize(
    "claims", [{"session": None}, {"sub": None}, {"role": None}, {"role": "admin"}, {"session": 7}]
)
def test_a_token_that_lets_nobody_in_anywhere_is_refused(
    tokens: Tokens, clock: FakeClock, claims: Claims
) -> None:
    assert refusal(tokens, forged(clock, claims)) == "token.invalid"


def test_a_header_nested_too_deep_is_refused(tokens: Tokens) -> None:
    header = base64.urlsafe_b64encode(b"[" * 700).decode()
    assert refusal(tokens, f"{header}.e30.e30") == "token.invalid"


@given(st.text(max_size=80) | st.binary(max_size=80) | st.integers() | st.lists(st.text()))
def test_anything_else_is_refused_and_never_an_exception(token: object) -> None:
    with pytest.raises(Refused) as refused:
        Tokens(SECRET, FakeClock()).read_join(token)
    assert refused.value.code in ("token.missing", "token.invalid")
