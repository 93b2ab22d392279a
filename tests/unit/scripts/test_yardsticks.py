"""Both yardsticks do what they are measured at: packets come out again under another key."""

from typing import get_args

import pytest

from scripts.bench.yardstick import Style, Yardstick
from tests.support.eventually import eventually


@pytest.mark.parametrize("style", get_args(Style))
async def test_a_yardstick_forwards_to_the_partner_under_its_keys(style: Style) -> None:
    yardstick = Yardstick(style, pairs=2, check_every=1)
    try:
        yardstick.pump.start(2_000)
        await eventually(lambda: yardstick.pump.figures().received >= 1_000)
        yardstick.pump.stop()
        figures = yardstick.pump.figures()
        assert figures.received == figures.authenticated <= figures.sent
        assert min(yardstick.pump.received_by(peer) for peer in range(4)) > 0
    finally:
        yardstick.close()
