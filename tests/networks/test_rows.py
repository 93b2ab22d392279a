"""Calls over bad links, a few seconds of each; `make networks` watches a minute."""

from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.networks.call import call_over_a_link
from tests.networks.rows import ROWS, Row, missed

SECONDS = 8.0


@pytest.mark.parametrize("row", [row for row in ROWS if row.briefly], ids=lambda row: row.name)
async def test_a_call_holds(row: Row, tmp_path: Path) -> None:
    async with async_playwright() as playwright, call_over_a_link(playwright, tmp_path) as call:
        figures = await row.play(call, SECONDS)
    assert not missed(figures, row.briefly), figures
