"""The estimate follows the link: scenarios on a simulated one."""

import pytest

from media.bandwidth import START, Estimator
from media.relay import Downlink
from tests.support.impairment import Impairment
from tests.unit.media.downlink import LAYERS, Viewer

GOOD = Impairment(delay_ms=20, rate_kbit=3000, queue_ms=200)


def settled(link: Impairment, seconds: float = 10) -> Viewer:
    viewer = Viewer(link)
    viewer.play(seconds)
    return viewer


def test_on_a_good_link_the_best_layer_comes_within_2_seconds_and_stays() -> None:
    viewer = Viewer(GOOD)
    assert viewer.play(10, until=lambda: viewer.layer == 2) < 2
    viewer.play(60)
    assert {moment.layer for moment in viewer.moments[-250:]} == {2}
    assert viewer.sound_lost == 0


@pytest.mark.parametrize("queue_ms", [100, 200, 1000])
@pytest.mark.parametrize("delay_ms", [5, 50, 150])
def test_a_squeeze_to_300_kbit_is_followed_and_its_end_too(queue_ms: int, delay_ms: int) -> None:
    wide = Impairment(delay_ms=delay_ms, rate_kbit=3000, queue_ms=queue_ms)
    narrow = Impairment(delay_ms=delay_ms, rate_kbit=300, queue_ms=queue_ms)
    viewer = settled(wide)
    viewer.up_delay_s = delay_ms / 1000
    assert viewer.layer == 2
    viewer.become(narrow)
    assert viewer.play(10, until=lambda: viewer.layer == 0) < 3
    viewer.play(5)
    lost = viewer.sound_lost
    viewer.queues_ms.clear()
    viewer.play(30)
    assert {moment.layer for moment in viewer.moments[-150:]} == {0}
    assert 200_000 < viewer.estimate < 400_000
    assert viewer.sound_lost - lost <= 3, "of 1,500"
    assert max(viewer.queues_ms) < 250
    viewer.become(wide)
    assert viewer.play(20, until=lambda: viewer.layer == 2) < 10


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.15])
@pytest.mark.parametrize("delay_ms", [50, 150])
def test_random_loss_does_not_collapse_the_estimate(loss: float, delay_ms: int) -> None:
    viewer = Viewer(
        Impairment(delay_ms=delay_ms, rate_kbit=3000, queue_ms=200, loss=loss),
        up_delay_s=delay_ms / 1000,
    )
    viewer.play(5)
    viewer.moments.clear()
    viewer.play(60)
    assert {moment.layer for moment in viewer.moments} == {2}
    assert min(moment.estimate for moment in viewer.moments) > LAYERS[-1]


def test_a_squeeze_is_seen_through_random_loss() -> None:
    viewer = settled(Impairment(delay_ms=50, rate_kbit=3000, queue_ms=200, loss=0.1))
    viewer.become(Impairment(delay_ms=50, rate_kbit=600, queue_ms=200, loss=0.1))
    assert viewer.play(10, until=lambda: viewer.layer < 2) < 3
    viewer.play(20)
    assert viewer.estimate < 660_000
    assert viewer.layer >= 0


def test_30_percent_of_random_loss_is_found_to_be_no_congestion() -> None:
    """The rate is lowered once to see whether that helps."""
    viewer = settled(Impairment(delay_ms=20, rate_kbit=3000, queue_ms=200, loss=0.3), 20)
    viewer.moments.clear()
    viewer.play(30)
    assert min(moment.layer for moment in viewer.moments) == 2


def test_a_policer_without_a_queue_is_congestion() -> None:
    viewer = settled(Impairment(delay_ms=20, rate_kbit=3000, queue_ms=20))
    viewer.become(Impairment(delay_ms=20, rate_kbit=300, queue_ms=20))
    assert viewer.play(10, until=lambda: viewer.layer < 2) < 3
    viewer.play(20)
    assert viewer.estimate < 450_000


def test_bursts_of_300_ms_of_nothing_are_no_congestion() -> None:
    viewer = settled(GOOD)
    viewer.become(
        Impairment(delay_ms=20, rate_kbit=3000, queue_ms=200, burst_every_s=5, burst_s=0.3)
    )
    viewer.moments.clear()
    viewer.play(60)
    assert {moment.layer for moment in viewer.moments} == {2}


def test_after_10_seconds_of_nothing_it_goes_on_where_it_was() -> None:
    viewer = settled(GOOD)
    before = viewer.estimate
    viewer.become(Impairment(blackout=True))
    viewer.play(10)
    assert viewer.estimate == before
    viewer.become(GOOD)
    viewer.moments.clear()
    viewer.play(20)
    assert {moment.layer for moment in viewer.moments} == {2}


def test_a_longer_way_is_no_queue() -> None:
    """The delay grows by 200 ms at once and stays, as after a handover."""
    viewer = settled(GOOD)
    viewer.become(Impairment(delay_ms=220, rate_kbit=3000, queue_ms=200))
    viewer.play(10)
    viewer.moments.clear()
    viewer.play(20)
    assert {moment.layer for moment in viewer.moments} == {2}


def test_a_shorter_way_hides_no_queue() -> None:
    viewer = settled(Impairment(delay_ms=220, rate_kbit=3000, queue_ms=300))
    viewer.become(Impairment(delay_ms=20, rate_kbit=3000, queue_ms=300))
    viewer.play(2)
    viewer.become(Impairment(delay_ms=20, rate_kbit=300, queue_ms=300))
    assert viewer.play(10, until=lambda: viewer.layer == 0) < 3


def test_jitter_is_no_congestion() -> None:
    viewer = Viewer(Impairment(delay_ms=60, jitter_ms=40, rate_kbit=3000, queue_ms=200))
    viewer.play(5)
    viewer.moments.clear()
    viewer.play(60)
    assert {moment.layer for moment in viewer.moments} == {2}


def test_on_a_link_of_100_kbit_pictures_stop_and_sound_goes_on_and_all_comes_back() -> None:
    viewer = settled(GOOD)
    viewer.become(Impairment(delay_ms=20, rate_kbit=100, queue_ms=200))
    assert viewer.play(10, until=lambda: viewer.layer == -1) < 3
    viewer.play(5)
    viewer.moments.clear()
    lost = viewer.sound_lost
    viewer.play(60)
    assert {moment.layer for moment in viewer.moments} == {-1}
    assert 60_000 < viewer.estimate < 130_000
    assert viewer.sound_lost - lost <= 15, "of 3,000"
    viewer.become(GOOD)
    assert viewer.play(30, until=lambda: viewer.layer == 2) < 12


def test_a_steady_link_between_two_layers_does_not_flap() -> None:
    viewer = settled(Impairment(delay_ms=20, rate_kbit=800, queue_ms=200), 20)
    viewer.moments.clear()
    viewer.play(60)
    assert {moment.layer for moment in viewer.moments} == {1}


def test_where_enough_is_known_nothing_is_probed() -> None:
    viewer = settled(Impairment(delay_ms=20))
    before = viewer.estimator._probes._due_at
    viewer.play(20)
    assert viewer.estimator._probes._due_at == before


def reported(estimator: Estimator, seconds: int, *, remb: int = 0, loss: int = 0) -> float:
    """A client without transport-wide feedback; loss of 256."""
    seen = Downlink(*[0] * len(Downlink._fields))
    seen = seen._replace(estimate=remb, estimates=int(remb > 0))
    for second in range(seconds):
        seen = seen._replace(blocks=second + 1, fraction_lost=(second + 1) * loss)
        seen = seen._replace(sent_bytes=round(second * estimator.estimate / 8))
        estimator.observe(second * 1.01, seen)
    return estimator.estimate


def test_without_feedback_its_remb_is_followed() -> None:
    assert reported(Estimator(), 5, remb=3_000_000) == 3_000_000
    assert reported(Estimator(), 2, remb=300_000) == 300_000


def test_without_feedback_or_remb_losses_lower_it_and_use_raises_it() -> None:
    assert 1.2 * START < reported(Estimator(), 10) < 2 * START
    assert reported(Estimator(), 10, loss=64) < 0.5 * START
    assert reported(Estimator(), 10, loss=12) == START
    assert Estimator().probe(0, 5e6) is None
