"""The client's offer, as the server's answerer reads it, and the answer back."""

import pytest

from media.answerer import ServerDescription, Slot, make_answer
from media.offer import parse_offer
from scripts.client.offer import AnsweredSection, OurTransport, Section, compose_offer, read_answer

OURS = OurTransport("abcd1234", "a" * 24, ":".join(["AB"] * 32))
THEIRS = ServerDescription(
    1, 1, "serverfr", "p" * 24, ":".join(["CD"] * 32), (("127.0.0.1", 5000),)
)


def test_the_answerer_takes_the_offer_and_the_client_its_answer() -> None:
    sections = [
        Section("audio", 11),
        Section("video", 22),
        Section("audio", None),
        Section("video", None),
    ]
    offer = parse_offer(compose_offer(sections, OURS, 1))
    sdp, plan = make_answer(offer, THEIRS, {"2": Slot(33, 34, "s", "t", "c")})
    answer = read_answer(sdp)
    assert [(one.mid, one.ssrcs) for one in plan.publications] == [("0", (11,)), ("1", (22,))]
    assert answer.address == ("127.0.0.1", 5000)
    assert (answer.ufrag, answer.pwd) == (THEIRS.ufrag, THEIRS.pwd)
    assert answer.fingerprint == THEIRS.fingerprint
    uplink = AnsweredSection("recvonly", None, mid_id=4, twcc_id=3)
    assert (answer.sections["0"], answer.sections["1"]) == (uplink, uplink)
    fed, unfed = answer.sections["2"], answer.sections["3"]
    assert (fed.direction, fed.ssrc) == ("sendonly", 33)
    assert (unfed.direction, unfed.ssrc) == ("inactive", None)


def test_what_is_no_answer_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="candidate"):
        read_answer("v=0\r\n")
