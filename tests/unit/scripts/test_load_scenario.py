"""What a load test does: the file that says so, its limits, and what chance makes of it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.load.plan import Action, plan
from scripts.load.scenario import (
    BadScenario,
    Churn,
    RoomKind,
    Scenario,
    find_scenario,
    kept,
    read_scenario,
)

ALL = Churn(
    leaves=10, refreshes=10, mutes=20, cameras=20, reconnects=10, moves=10, ends=2, away_s=4
)
BUSY = Scenario(rooms=6, duration_s=600, kinds=(RoomKind(people=3, churn=ALL),))


def of(**changes: object) -> Scenario:
    """One kind of room, all else as it is by default."""
    kind = RoomKind(**{k: v for k, v in changes.items() if k in ("people", "bitrate_kbit")})  # type: ignore[arg-type]
    rest = {k: v for k, v in changes.items() if k not in ("people", "bitrate_kbit")}
    return Scenario(kinds=(kind,), **rest)  # type: ignore[arg-type]


def read(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "test.toml"
    file.write_text(text)
    return read_scenario(file)


def test_rooms_begin_at_the_ramp() -> None:
    scenario = of(rooms=3, duration_s=10, ramp=2.0)
    assert [scenario.starts_s(place) for place in range(3)] == [0.0, 0.5, 1.0]
    assert scenario.length_s == 11.0


@pytest.mark.parametrize("kbit", [50, 264, 265, 400, 1500, 5000])
def test_a_picture_carries_the_bitrate_in_as_few_packets_as_can_be(kbit: int) -> None:
    picture = RoomKind(bitrate_kbit=kbit).picture
    rate = picture.packets * picture.packet_bytes * 8 * 30
    assert rate == pytest.approx(kbit * 1000, rel=0.01)
    assert picture.packet_bytes <= 1100
    assert (picture.packets - 1) * 1100 < kbit * 1000 / 240


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rooms": 150, "people": 12}, "1800 participants: 1000 are the most"),
        ({"rooms": 100, "ramp": 0.1, "duration_s": 3600}, "4590 s in all"),
        ({"rooms": 25, "people": 12, "bitrate_kbit": 5000}, "16500 Mbit/s from the server"),
    ],
)
def test_no_test_is_larger_or_longer_than_the_limits(change: dict[str, int], reason: str) -> None:
    with pytest.raises(BadScenario, match=reason):
        of(**change)


def test_no_test_does_more_than_can_be_kept() -> None:
    with pytest.raises(BadScenario, match="actions: 20000 are the most"):
        replace(BUSY, rooms=100, duration_s=3500)


def test_rooms_are_of_kinds_by_their_weights() -> None:
    kinds = tuple(RoomKind(name=name, weight=weight) for name, weight in (("a", 9), ("b", 1)))
    for rooms, counts in ((20, (18, 2)), (10, (9, 1)), (3, (3, 0)), (1, (1, 0))):
        scenario = Scenario(rooms=rooms, kinds=kinds)
        assert scenario.rooms_of_kinds == counts
        assert (
            sorted(kind.name for kind in scenario.places) == ["a"] * counts[0] + ["b"] * counts[1]
        )


def test_the_seed_says_where_which_kind_is() -> None:
    kinds = (RoomKind(name="a"), RoomKind(name="b"))
    places = [Scenario(rooms=20, kinds=kinds, seed=seed).places for seed in (1, 1, 2)]
    assert places[0] == places[1] != places[2]


def test_a_file_says_all_that_a_scenario_says(tmp_path: Path) -> None:
    text = """
        about = "two kinds"
        rooms = 4
        ramp = 1
        duration_s = 20
        seed = 7

        [[kinds]]
        name = "pair"
        weight = 3

        [[kinds]]
        people = 5
        bitrate_kbit = 200
        churn = { leaves = 2, away_s = 1.5 }
    """
    assert read(tmp_path, text) == Scenario(
        about="two kinds", rooms=4, ramp=1.0, duration_s=20, seed=7,
        kinds=(
            RoomKind(name="pair", weight=3),
            RoomKind(people=5, bitrate_kbit=200, churn=Churn(leaves=2.0, away_s=1.5)),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rooms = 0", "rooms: Input should be greater than or equal to 1"),
        ("rooms = true", "rooms: Input should be a valid integer"),
        ('[[kinds]]\npeople = "2"', "kinds[0].people: Input should be a valid integer"),
        ("[[kinds]]\n[[kinds]]\npeople = 13", "kinds[1].people: Input should be less than"),
        ("[[kinds]]\nchurn = { leaves = 61 }", "kinds[0].churn.leaves: Input should be less"),
        ("[[kinds]]\nchurn = { leaves = nan }", "kinds[0].churn.leaves: Input should be"),
        ("[[kinds]]\nchurn = { naps = 1 }", "kinds[0].churn.naps: Unexpected keyword argument"),
        ("people = 2", "people: Unexpected keyword argument"),
        ("kinds = []", "kinds: Tuple should have at least 1 item"),
        ("rooms = 150\n[[kinds]]\npeople = 12", "1800 participants: 1000 are the most"),
        ("rooms", "Expected '=' after a key"),
        ("about = '\udcff'", "invalid start byte"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_the_keys_path(
    tmp_path: Path, text: str, reason: str
) -> None:
    file = tmp_path / "test.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadScenario) as refused:
        read_scenario(file)
    assert str(refused.value).startswith(f"{file}: {reason}") or reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_scenario_is_found_by_its_name_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("rooms = 3")
    assert find_scenario(str(file)).rooms == 3
    assert find_scenario("churn") == kept()["churn"]
    with pytest.raises(BadScenario, match="nowhere: No such file"):
        find_scenario("nowhere")


def test_the_kept_scenarios_do_what_they_say() -> None:
    assert {"steady", "churn", "clinic-monday-morning"} <= kept().keys()
    assert kept()["steady"].actions == 0
    planned = [a for place in range(20) for a in plan(kept()["churn"], place)]
    assert {action.kind for action in planned} == {
        "leave", "join", "refresh", "mute", "camera", "reconnect", "move", "end",
    }  # fmt: skip


# The plan


def plans(scenario: Scenario) -> list[tuple[Action, ...]]:
    return [plan(scenario, place) for place in range(scenario.rooms)]


def test_the_same_seed_plans_the_same_and_another_one_does_not() -> None:
    assert plans(BUSY) == plans(replace(BUSY))
    assert plans(BUSY) != plans(replace(BUSY, seed=2))
    assert len(set(plans(BUSY))) == BUSY.rooms


def test_a_plan_is_kept_when_python_is_another() -> None:
    """Figures of one seed are to be compared over years."""
    assert [(round(a.at_s, 3), a.kind, a.person) for a in plan(BUSY, 0)[:3]] == [
        (1.734, "mute", 1),
        (1.946, "leave", 0),
        (2.476, "mute", 1),
    ]


def test_nothing_happens_where_nothing_is_to_happen() -> None:
    assert plan(Scenario(), 0) == ()


def test_actions_are_in_order_and_over_before_the_place_is() -> None:
    for actions in plans(BUSY):
        assert all(a.at_s <= b.at_s for a, b in pairwise(actions))
        assert actions[0].at_s > 0
        assert actions[-1].at_s < BUSY.duration_s


def test_each_kind_comes_as_often_as_its_rate_says() -> None:
    scenario = replace(BUSY, rooms=10, duration_s=1000)
    planned: list[str] = [action.kind for actions in plans(scenario) for action in actions]
    minutes = scenario.rooms * scenario.duration_s / 60
    for kind, rate in (("reconnect", 10), ("refresh", 10), ("mute", 20)):
        assert planned.count(kind) / minutes == pytest.approx(rate, rel=0.2)


def follow(actions: Sequence[Action], people: int) -> None:
    """What the plan promises, checked action by action."""
    on = {person: {"mute", "camera"} for person in range(people)}
    away: set[int] = set()
    for action in actions:
        here = people - len(away)
        assert (action.person in away) == (action.kind == "join")
        match action.kind:
            case "leave":
                assert here > 1
                away.add(action.person)
            case "join":
                away.remove(action.person)
                on[action.person] = {"mute", "camera"}
            case "refresh" | "move":
                assert here > 1, "there is nobody to hear of"
            case "mute" | "camera":
                on[action.person] ^= {action.kind}
                assert on[action.person], "nobody is silent and dark"
            case "end":
                assert action.person == 0
                away.clear()
                on = {person: {"mute", "camera"} for person in range(people)}


@pytest.mark.parametrize("people", [2, 3, 7])
def test_what_is_planned_can_be_done(people: int) -> None:
    scenario = replace(BUSY, kinds=(RoomKind(people=people, churn=ALL),))
    for actions in plans(scenario):
        follow(actions, people)
