"""A line that bears sound alone: pictures go, the page says why, and later they come back."""

from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import async_playwright, expect

from tests.networks.call import call_over_a_link
from tests.support.impairment import Impairment

WIDE: Final = Impairment(delay_ms=20, rate_kbit=3000)
NARROW: Final = Impairment(delay_ms=20, rate_kbit=100)
WORDS: Final = "Your connection is weak. We turned pictures off to keep the sound clear."
# The picture that flowed when the line became narrow has to leave the queue before.
SETTLED_S: Final = 3.0
WATCH_S: Final = 8.0


@pytest.mark.asyncio
async def test_at_100_kbit_pictures_stop_sound_goes_on_and_the_page_says_so(tmp_path: Path) -> None:
    async with (
        async_playwright() as playwright,
        call_over_a_link(playwright, tmp_path, WIDE) as call,
    ):
        words = call.near.page.get_by_text(WORDS).first
        await expect(words).to_be_hidden()
        call.link.become(down=NARROW)
        await expect(words).to_be_visible(timeout=15_000)
        await call.over(SETTLED_S)
        near, far = await call.over(WATCH_S)
        await expect(words).to_be_visible()
        assert not [at for at, _ in near.after.frames if at > near.before.at]
        assert near.concealed_share < 0.02
        # What goes up has all it needs.
        assert far.frozen_share < 0.25
        assert far.concealed_share < 0.02
        call.link.become(down=WIDE)
        await expect(words).to_be_hidden(timeout=40_000)
        await call.near.sees(within=10)
