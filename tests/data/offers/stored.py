"""The stored offers as values, and the one server that answers them in tests."""

from pathlib import Path

from media.answerer import Plan, ServerDescription, Slot, make_answer
from media.offer import Offer, parse_offer

FOLDER = Path(__file__).parent
OURS = ServerDescription(
    session_id=2026,
    version=1,
    ufrag="serverufrag",
    pwd="server+password+of+tests",
    fingerprint=":".join(f"{byte:02X}" for byte in range(32)),
    candidates=(("192.0.2.1", 40000), ("2001:db8::1", 40000)),
)


def files() -> list[Path]:
    """Every stored offer, a scenario's in the order of its steps."""
    return sorted(FOLDER.rglob("*.offer"))


def name(path: Path) -> str:
    """As in "chromium/receive/2-two-more-people"."""
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def read(path: Path) -> str:
    """A stored SDP as it is on the wire, with CRLF."""
    return path.read_text().replace("\n", "\r\n")


def stored(name: str) -> str:
    return read(FOLDER / f"{name}.offer")


def slots_for(offer: Offer) -> dict[str, Slot]:
    """A slot for each section that receives."""
    return {
        section.mid: Slot(
            5000 + section.index,
            6000 + section.index if section.kind == "video" else 0,
            f"person{section.mid}",
            "track",
            "plumm",
        )
        for section in offer.sections
        if section.acceptable and section.direction == "recvonly"
    }


def answer(sdp: str) -> tuple[str, Plan]:
    offer = parse_offer(sdp)
    return make_answer(offer, OURS, slots_for(offer))
