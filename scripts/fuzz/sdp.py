"""SDP: an offer is refused with BadOffer and nothing else, or its answer is well-formed.

Input: an offer's text, as UTF-8.
"""

from typing import Final

from aiortc.sdp import SessionDescription

from media.answerer import ServerDescription, Slot, make_answer
from media.errors import BadOffer
from media.offer import Offer, parse_offer

OURS: Final = ServerDescription(
    session_id=2026,
    version=1,
    ufrag="serverufrag",
    pwd="server+password+of+tests",  # noqa: S106 - nobody's
    fingerprint=":".join(f"{byte:02X}" for byte in range(32)),
    candidates=(("192.0.2.1", 40000),),
)


def check(data: bytes) -> None:
    # JSON may hold what UTF-8 may not: half a surrogate pair.
    text = data.decode("utf-8", "surrogateescape")
    try:
        offer = parse_offer(text)
        answer, plan = make_answer(offer, OURS, slots(offer))
    except BadOffer:
        return
    lines = answer.removesuffix("\r\n").split("\r\n")
    assert all(line[1:2] == "=" and line.isascii() and line.isprintable() for line in lines)
    read = SessionDescription.parse(answer)
    assert [media.rtp.muxId for media in read.media] == [each.mid for each in offer.sections]
    accepted = {media.rtp.muxId for media in read.media if media.port}
    assert accepted == set(offer.bundle)
    assert {each.mid for each in plan.publications} | set(plan.slots) <= accepted
    # What was never offered is never sent back: nobody can make us say it.
    assert f"a=ice-pwd:{offer.ice_pwd}" not in lines or offer.ice_pwd == OURS.pwd


def slots(offer: Offer) -> dict[str, Slot]:
    """A slot for each section that receives."""
    return {
        section.mid: Slot(
            5000 + section.index,
            6000 + section.index if section.kind == "video" else 0,
            "person",
            "track",
            "plumm",
        )
        for section in offer.sections
        if section.acceptable and section.direction == "recvonly"
    }
