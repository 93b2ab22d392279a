"""PROTOCOL.md and the code say the same."""

import re
from pathlib import Path

import pytest

import signaling
from media import errors as media_errors
from rooms import errors as rooms_errors
from signaling.errors import ERRORS, Refused
from signaling.handlers import CLIENT_EVENTS
from signaling.protocol import (
    SERVER_EVENTS,
    EndedSaid,
    JoinedSaid,
    LayersSaid,
    Offer,
    ParticipantSaid,
    PayloadType,
    RoomStateSaid,
    SectionsSaid,
    SessionRequest,
    SessionSaid,
    StateChange,
    TrackLayersSaid,
    TrackSaid,
    View,
    ViewChange,
)

TEXT = (Path(signaling.__file__).parent / "PROTOCOL.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_every_event_from_clients_is_in_the_document_and_no_other() -> None:
    assert {row[0].strip("`") for row in rows("From the client")} == set(CLIENT_EVENTS)


def test_every_event_from_the_server_is_in_the_document_and_no_other() -> None:
    assert {row[0].strip("`") for row in rows("From the server")} == set(SERVER_EVENTS)


def test_every_error_code_is_in_the_document_and_no_other() -> None:
    codes = [code for row in rows("Error codes") for code in re.findall(r"`([a-z_.]+)`", row[0])]
    assert len(codes) == len(set(codes))
    assert set(codes) == set(ERRORS)


def test_every_refusal_of_rooms_and_media_has_a_code_of_the_table() -> None:
    codes = {
        vars(kind)["code"]
        for module in (rooms_errors, media_errors)
        for kind in vars(module).values()
        if isinstance(kind, type) and "code" in vars(kind)
    }
    assert len(codes) >= 10
    assert codes <= set(ERRORS)


@pytest.mark.parametrize(
    ("shape", "place"),
    [
        (JoinedSaid, "`room:join`"),
        (SessionSaid, "`room:join`"),
        (RoomStateSaid, "    RoomState "),
        (ParticipantSaid, "RoomState  {"),
        (SectionsSaid, "    Sections "),
        (TrackSaid, "    Sections "),
        (LayersSaid, "| `rtc:layers`"),
        (TrackLayersSaid, "| `rtc:layers`"),
        (View, "| `rtc:view`"),
        (ViewChange, "| `rtc:view`"),
        (EndedSaid, "    Ended "),
        (Offer, "`rtc:offer`"),
        (SessionRequest, "| `POST /api/sessions`"),
    ],
)
def test_every_field_is_named_where_its_shape_is_described(
    shape: type[JoinedSaid], place: str
) -> None:
    described = TEXT[TEXT.index(place) :][:600]
    missing = [name for name in shape.model_fields if not re.search(rf"\b{name}\b", described)]
    assert missing == []


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "x",
        1,
        [],
        {"microphone": None},
        {"microphone": 1},
        {"microphone": "true"},
        {"x": True},
    ],
)
def test_a_payload_is_not_coerced_and_has_no_other_keys(payload: object) -> None:
    with pytest.raises(Refused) as refusal:
        PayloadType(StateChange).read(payload)
    assert refusal.value.code == "message.malformed"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("connection", ""),
        ("connection", "a\n"),
        ("connection", "a" * 65),
        ("seq", -1),
        ("seq", 2**31),
        ("seq", True),
        ("seq", 1.0),
        ("sdp", None),
        ("sources", {"0": "telepathy"}),
        ("sources", {str(n): "camera" for n in range(65)}),
    ],
)
def test_an_offer_out_of_bounds_is_malformed_and_its_values_are_not_repeated(
    key: str, value: object
) -> None:
    good = {"connection": "c-1", "seq": 1, "sdp": "v=0", "sources": {"0": "camera"}}
    assert PayloadType(Offer).read(good).seq == 1
    with pytest.raises(Refused) as refusal:
        PayloadType(Offer).read(good | {key: value})
    assert str(refusal.value.detail).startswith(key)
    assert "telepathy" not in str(refusal.value.detail)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("participant_id", "a" * 65),
        ("source", "microphone"),
        ("width", -1),
        ("width", 16_385),
        ("height", 1.5),
        ("height", True),
    ],
)
def test_a_view_out_of_bounds_is_malformed(key: str, value: object) -> None:
    good = {"participant_id": "p", "source": "camera", "width": 640, "height": 0}
    assert PayloadType(ViewChange).read({"views": [good]}).views[0].width == 640
    with pytest.raises(Refused) as refusal:
        PayloadType(ViewChange).read({"views": [good | {key: value}]})
    assert str(refusal.value.detail).startswith(f"views.0.{key}")


def test_more_views_than_a_room_has_pictures_are_malformed() -> None:
    view = {"participant_id": "p", "source": "camera", "width": 0, "height": 0}
    with pytest.raises(Refused):
        PayloadType(ViewChange).read({"views": [view] * 65})
