"""The system's Firefox as tests and captures start it: headless, with made-up devices.

Its fake camera shows a plain picture that changes its colour, its fake microphone hums. It makes no
ICE candidate on loopback, whatever its settings: what it shall reach has another address.
"""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Playwright

from scripts import bidi

FIREFOX: Final = "/usr/bin/firefox-esr"
_PREFERENCES: Final[Mapping[str, str | float | bool]] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    # Candidates with the address instead of a name that only mDNS knows.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # Sound without a click; 0: allowed.
    "media.autoplay.default": 0,
}
_STARTS_WITHIN_MS: Final = 60_000


@asynccontextmanager
async def launched_firefox(playwright: Playwright) -> AsyncIterator[Browser]:
    """A new browser process. Raises playwright's Error where Firefox is not installed."""
    with tempfile.TemporaryDirectory(prefix="plumm-firefox-") as directory:
        browser = await playwright.firefox.launch(
            # Playwright has a Firefox of its own, which it steers otherwise; this channel is
            # the one that speaks WebDriver BiDi.
            channel="moz-firefox",
            executable_path=bidi.executable(FIREFOX, Path(directory)),
            firefox_user_prefs=dict(_PREFERENCES),
            timeout=_STARTS_WITHIN_MS,
        )
        try:
            yield browser
        finally:
            await browser.close()
