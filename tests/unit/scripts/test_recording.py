"""What the pump's peers send for ever."""

from scripts.pump.recording import recording


def test_a_loop_has_one_keyframe_at_its_begin() -> None:
    # RFC 6386, 9.1: the lowest bit is clear in a keyframe; the fifth is set in frames that show.
    assert [frame[0] & 1 for frame in recording().pictures] == [0] + [1] * 299
    assert all(frame[0] & 0x10 for frame in recording().pictures)


def test_the_largest_picture_is_one_batch_of_the_smallest_packets() -> None:
    # 32 bytes of it in a packet of 72 (wire.pxd), 64 packets in a batch (state.pxd).
    assert max(map(len, recording().pictures)) + 16 <= 32 * 64


def test_sound_has_room_for_padding_and_one_size() -> None:
    assert {len(sound) for sound in recording().sounds} == {50}
    # Code 0, one frame: its padding is ours to add (RFC 6716, 3.2).
    assert {sound[0] & 3 for sound in recording().sounds} == {0}
