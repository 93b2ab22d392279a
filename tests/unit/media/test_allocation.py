"""Each viewer gets the layers that its downlink and its views allow."""

from media.allocation import Division, Layer, Picture

LAYERS = (Layer(150_000, 180), Layer(500_000, 360), Layer(1_300_000, 720))
SOUND = 60_000.0


def picture(
    slot: int, *, screen: bool = False, height: int | None = None, alone: bool = False
) -> Picture:
    return Picture(slot, screen, height, LAYERS[-1:] if screen else LAYERS, alone)


def divide(estimate: float, *pictures: Picture) -> dict[int, int]:
    return dict(Division().divide(0, estimate, SOUND, pictures))


def test_before_a_page_says_what_it_shows_everything_is_at_its_best() -> None:
    assert divide(5e6, picture(1), picture(2)) == {1: 2, 2: 2}


def test_a_small_tile_gets_the_lowest_layer_that_fills_it_and_a_hidden_one_nothing() -> None:
    tiles = [picture(n, height=height) for n, height in enumerate((0, 90, 190, 300, 900))]
    assert divide(9e6, *tiles) == {0: -1, 1: 0, 2: 0, 3: 1, 4: 2}


def test_what_does_not_fit_is_lowered_and_the_largest_is_raised_first() -> None:
    small, large = picture(1, height=200), picture(2, height=700)
    assert divide(1_000_000, small, large) == {1: 0, 2: 1}
    assert divide(300_000, small, large) == {1: -1, 2: 0}


def test_a_screen_comes_before_cameras() -> None:
    assert divide(1_600_000, picture(1, height=700), picture(2, screen=True)) == {1: 0, 2: 0}
    assert divide(1_400_000, picture(1, height=700), picture(2, screen=True)) == {1: -1, 2: 0}


def test_a_publisher_with_one_viewer_is_capped_before_its_layer_is_lowered() -> None:
    assert divide(700_000, picture(1)) == {1: 1}
    assert divide(700_000, picture(1, alone=True)) == {1: 2}
    assert divide(255_000, picture(1, alone=True)) == {1: 0}
    assert divide(160_000, picture(1, alone=True)) == {1: 0}


def test_it_goes_down_at_once_and_up_with_a_margin_and_not_soon_after() -> None:
    division, one = Division(), [picture(1)]
    assert division.divide(0, 1_400_000, SOUND, one) == {1: 2}
    assert division.divide(1, 900_000, SOUND, one) == {1: 1}
    assert division.divide(2, 1_700_000, SOUND, one) == {1: 1}
    assert division.divide(5, 1_400_000, SOUND, one) == {1: 1}
    assert division.divide(5, 1_700_000, SOUND, one) == {1: 2}


def test_a_smaller_view_is_no_fall() -> None:
    division = Division()
    assert division.divide(0, 5e6, SOUND, [picture(1, height=720)]) == {1: 2}
    assert division.divide(1, 5e6, SOUND, [picture(1, height=100)]) == {1: 0}
    assert division.divide(1.2, 5e6, SOUND, [picture(1, height=720)]) == {1: 2}


def test_under_150_kbit_pictures_stop_and_do_not_flap() -> None:
    division, one = Division(), [picture(1, alone=True)]
    assert division.divide(0, 149_000, SOUND, one) == {1: -1}
    assert division.divide(6, 170_000, SOUND, one) == {1: -1}
    assert division.divide(7, 200_000, SOUND, one) == {1: 0}
    assert division.divide(8, 149_000, SOUND, one) == {1: -1}
    # Again within a minute: it is left alone for longer.
    assert division.divide(14, 300_000, SOUND, one) == {1: -1}
    assert division.divide(19, 300_000, SOUND, one) == {1: 0}
