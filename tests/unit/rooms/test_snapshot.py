"""What members see: socket and media folded into one word."""

from dataclasses import replace

import pytest

from rooms.snapshot import Connection, room_state
from rooms.vocabulary import Media
from tests.unit.rooms.test_lifecycle import CLIENT, START, THERAPIST, joined, scheduled


@pytest.mark.parametrize(
    ("media", "has_socket", "seen"),
    [
        ("connecting", True, "connecting"),
        ("connected", True, "connected"),
        ("lost", True, "reconnecting"),
        ("connecting", False, "reconnecting"),
        ("connected", False, "reconnecting"),
        ("lost", False, "reconnecting"),
    ],
)
def test_either_of_socket_and_media_gone_is_reconnecting(
    media: Media, has_socket: bool, seen: Connection
) -> None:
    session = joined(scheduled(), CLIENT)[-1]
    present = replace(
        session.present[CLIENT], media=media, socket_lost_at=None if has_socket else START
    )
    state = room_state(replace(session, present={CLIENT: present}))
    assert state.participants[0].connection == seen


def test_participants_are_listed_in_the_order_they_came_and_keep_their_place() -> None:
    session = joined(scheduled(), CLIENT, THERAPIST, CLIENT)[-1]
    assert [one.name for one in room_state(session).participants] == ["Maya", "Lena"]


def test_a_scheduled_session_is_seen_as_open() -> None:
    assert room_state(scheduled()).status == "open"
