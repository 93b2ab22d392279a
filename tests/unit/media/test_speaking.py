"""Who has the floor, from levels as data: one character is one interval of 100 ms."""

from collections.abc import Sequence

from media.speaking import INTERVAL_S, Conversation

# dB below full scale: speech, loud speech, a quiet room.
LEVELS = {"s": 25, "S": 12, ".": 70}


def story(conversation: Conversation, *, start: float = 0.0, **voices: str) -> list[str | None]:
    """Who has the floor after each interval; the voices' strings are equally long."""
    floor: list[str | None] = []
    for interval, sounds in enumerate(zip(*voices.values(), strict=True)):
        levels = {who: LEVELS[sound] for who, sound in zip(voices, sounds, strict=True)}
        floor.append(conversation.hear(levels, start + interval * INTERVAL_S))
    return floor


def switched_at(floor: Sequence[str | None], who: str) -> int:
    """The interval after which somebody had the floor for the first time."""
    return floor.index(who)


def test_nobody_has_the_floor_before_anybody_spoke() -> None:
    assert story(Conversation(), anna="....", ben="....") == [None] * 4


def test_speech_has_the_floor_after_half_a_second() -> None:
    floor = story(Conversation(), anna="ssssssss", ben="........")
    assert floor == [None] * 4 + ["anna"] * 4


def test_speech_with_gaps_between_words_has_the_floor_within_a_second() -> None:
    floor = story(Conversation(), anna="sss.sss.ss", ben="..........")
    assert switched_at(floor, "anna") < 10


def test_a_cough_does_not_switch_however_loud() -> None:
    conversation = Conversation()
    story(conversation, anna="ssssssss", ben="........")
    floor = story(conversation, anna="ssssssss", ben="..SSSS..")
    assert set(floor) == {"anna"}
    # Nor while the one who has the floor draws breath.
    floor = story(conversation, anna="........ss", ben="..SSSS....")
    assert set(floor) == {"anna"}


def test_an_answer_has_the_floor_half_a_second_after_it_began() -> None:
    conversation = Conversation()
    story(conversation, anna="s" * 100, ben="." * 100)
    floor = story(conversation, anna="........", ben="ssssssss")
    assert switched_at(floor, "ben") == 4


def test_one_who_goes_on_speaking_keeps_the_floor_against_one_as_loud() -> None:
    conversation = Conversation()
    story(conversation, anna="ssssssss", ben="........")
    floor = story(conversation, anna="ss.sss.ss.sss.ss.sss", ben="ssssssssssssssssssss")
    assert set(floor) == {"anna"}


def test_of_two_at_once_the_clearly_louder_one_has_the_floor() -> None:
    conversation = Conversation()
    story(conversation, anna="ssssssss", ben="........")
    floor = story(conversation, anna="ssssssss", ben="SSSSSSSS")
    assert switched_at(floor, "ben") == 4


def test_silence_keeps_the_last_speaker_for_four_seconds_and_then_nobody_has_the_floor() -> None:
    conversation = Conversation()
    story(conversation, anna="ssssssss", ben="........")
    floor = story(conversation, start=0.8, anna="." * 60, ben="." * 60)
    assert switched_at(floor, "anna") == 0
    assert floor.index(None) == 39
    assert floor[-1] is None


def test_one_who_has_gone_does_not_have_the_floor() -> None:
    conversation = Conversation()
    story(conversation, anna="ssssssss", ben="........")
    assert story(conversation, ben="..") == [None, None]


def test_a_newcomer_begins_without_credit() -> None:
    conversation = Conversation()
    story(conversation, anna="ssssssss")
    assert story(conversation, ben="..") == [None, None]
    assert story(conversation, anna="ssss", ben="....") == [None] * 4
