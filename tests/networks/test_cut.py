"""A client's network is really cut: how long it is still counted as there."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.test_accessibility import confirm_end
from tests.networks.call import call_over_a_link, epoch_ms
from tests.support.attendance import media_stays
from tests.support.eventually import eventually
from tests.support.impairment import Impairment

TOGETHER_S: Final = 3
GHOST_S: Final = 1.0
# The socket's silence is noticed after its pings, and then the grace is waited for.
GIVEN_UP_WITHIN_S: Final = 75
CUT: Final = Impairment(blackout=True)


@pytest.mark.asyncio
async def test_one_whose_network_is_cut_is_counted_until_the_cut(tmp_path: Path) -> None:
    async with async_playwright() as playwright, call_over_a_link(playwright, tmp_path) as call:
        session = call.far.page.url.partition("#")[0].rpartition("/")[2]

        async def together() -> bool:
            stays = [of[-1] for of in (await media_stays(tmp_path, session)).values()]
            shortest = min((stay.until - stay.since).total_seconds() for stay in stays)
            return len(stays) == 2 and shortest > TOGETHER_S

        await eventually(together, "both seen for a while")
        cut_at = epoch_ms(call.link.become(both=CUT)) / 1000
        gone = call.far.page.get_by_text("reconnecting").first
        await expect(gone).to_be_visible(timeout=30_000)
        await expect(call.far.remote_videos()).to_have_count(0, timeout=GIVEN_UP_WITHIN_S * 1000)

        async def given_up() -> bool:
            return "participant.left" in stored(tmp_path, "SELECT type FROM events")

        await eventually(given_up, "the grace to be over", within=GIVEN_UP_WITHIN_S)
        await call.far.press("End session")
        await confirm_end(call.far)
        stays = await media_stays(tmp_path, session)
        (receipt,) = stored(tmp_path, "SELECT receipt FROM sessions WHERE receipt IS NOT NULL")
    cut, other = sorted((of for of in stays.values()), key=lambda of: of[-1].until)
    assert (len(cut), len(other)) == (1, 1)
    assert other[0].until.timestamp() > cut_at + 30
    ghost_s = cut[0].until.timestamp() - cut_at
    assert abs(ghost_s) <= GHOST_S, ghost_s
    both_s = cut_at - max(cut[0].since, other[0].since).timestamp()
    # Whole seconds are counted.
    assert both_s - GHOST_S - 1 < json.loads(receipt)["receipt"]["overlap_s"] <= both_s + GHOST_S


def stored(data_dir: Path, query: str) -> list[str]:
    """The first column of what the server has stored by now."""
    with closing(sqlite3.connect(data_dir / "plumm.sqlite3")) as database:
        return [row[0] for row in database.execute(query)]
