"""The system's Chromium as tests, benchmarks and captures start it: headless, with made-up devices.

Its fake camera shows a moving picture with a timer, its fake microphone beeps once a second.
"""

from typing import Final

from playwright.async_api import Browser, Playwright

CHROMIUM: Final = "/usr/bin/chromium"
_FLAGS: Final = (
    "--no-sandbox",
    # Nothing but the pages asked for goes over the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # 20 frames a second without fps=30.
    "--use-fake-device-for-media-stream=fps=30",
    "--use-fake-ui-for-media-stream",
    # WebRTC over 127.0.0.1, which browsers leave out by default, and by its address.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
)


async def launch_chromium(
    playwright: Playwright, executable: str = CHROMIUM, *, trusting: str | None = None
) -> Browser:
    """A new browser process. Raises playwright's Error where Chromium is not installed.

    executable: what starts it, with its arguments. trusting: an origin without TLS, not on
    loopback, that cameras are given to all the same.
    """
    flags = list(_FLAGS)
    if trusting is not None:
        flags.append(f"--unsafely-treat-insecure-origin-as-secure={trusting}")
    return await playwright.chromium.launch(executable_path=executable, args=flags)
