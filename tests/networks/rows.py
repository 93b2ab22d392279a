"""Bad links, and what a call over each must hold. Data, and how each is played."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.networks.call import Call, epoch_ms
from tests.networks.watch import Span
from tests.support.impairment import Impairment

Figures = Mapping[str, float]

_CLEAN: Final = Impairment(delay_ms=25)


@dataclass(frozen=True, slots=True)
class Row:
    """limits: what each figure may be at most over a full minute.

    briefly: the same where only a few seconds are watched, on a machine that does other things:
    one freeze of a busy encoder is then a large share.
    """

    name: str
    play: Callable[[Call, float], Awaitable[Figures]]
    limits: Figures
    briefly: Figures


def _quality(near: Span, far: Span) -> dict[str, float]:
    """The worse of the two directions, each figure by itself."""
    return {
        "disconnects": near.disconnects + far.disconnects,
        "frozen_share": max(near.frozen_share, far.frozen_share),
        "concealed_share": max(near.concealed_share, far.concealed_share),
        "longest_gap_ms": max(near.longest_gap_ms, far.longest_gap_ms),
        "lip_sync_ms": max(near.lip_sync_ms, far.lip_sync_ms),
    }


def _steady(impairment: Impairment) -> Callable[[Call, float], Awaitable[Figures]]:
    async def play(call: Call, seconds: float) -> Figures:
        call.link.become(both=impairment)
        # What the change itself does is over: pictures adapt, the jitter buffers grow.
        await asyncio.sleep(min(5.0, seconds / 3))
        return _quality(*await call.over(seconds))

    return play


async def _bursts(call: Call, seconds: float) -> Figures:
    every_s, lasts_s = 5.0, 0.3
    state = call.link.become(both=Impairment(delay_ms=25, burst_every_s=every_s, burst_s=lasts_s))
    near, far = await call.over(seconds)
    begun = epoch_ms(state)
    ends = [begun + n * every_s * 1000 for n in range(1, int(seconds // every_s) + 1)]
    # The one that ends as the watch does has no later frame to show.
    ends = [at for at in ends if at < near.after.at - 1000]
    recoveries = [span.next_frame_after(at) for span in (near, far) for at in ends]
    return _quality(near, far) | {"recovery_ms": max(recoveries)}


async def _blackout(call: Call, seconds: float) -> Figures:
    lasts_s = min(10.0, seconds / 2)
    back_at = 0.0

    async def happens() -> None:
        nonlocal back_at
        call.link.become(both=Impairment(blackout=True))
        await asyncio.sleep(lasts_s)
        back_at = epoch_ms(call.link.become(both=_CLEAN))
        await asyncio.sleep(seconds - lasts_s)

    near, far = await call.until(happens())
    return {
        "moving_again_ms": max(near.moving_after(back_at), far.moving_after(back_at)),
        "new_connections": _made(near) + _made(far),
    }


def _made(span: Span) -> int:
    return sum(at > span.before.at and what == "made" for at, what in span.after.events)


async def _silence(call: Call, _: float) -> Figures:
    """Longer than consent lasts, so that both ends have given up; then Refresh is pressed."""
    lasts_s = 40.0
    gone_at = told_at = back_at = 0.0
    person = call.far.remote_videos().first
    before = await person.get_attribute("data-participant")

    async def happens() -> None:
        nonlocal gone_at, told_at, back_at
        gone_at = epoch_ms(call.link.become(both=Impairment(blackout=True)))
        badge = call.far.page.get_by_text(re.compile("reconnecting")).first
        await badge.wait_for(timeout=lasts_s * 1000)
        told_at = time.time() * 1000
        await asyncio.sleep(lasts_s - (told_at - gone_at) / 1000)
        back_at = epoch_ms(call.link.become(both=_CLEAN))
        await call.near.press("Refresh")
        await asyncio.sleep(20)

    near, far = await call.until(happens())
    return {
        "shown_as_gone_ms": told_at - gone_at,
        "moving_again_ms": max(near.moving_after(back_at), far.moving_after(back_at)),
        "other_participants": await person.get_attribute("data-participant") != before,
    }


def _address(change: Callable[[Call], float]) -> Callable[[Call, float], Awaitable[Figures]]:
    async def play(call: Call, seconds: float) -> Figures:
        call.link.become(both=_CLEAN)
        await asyncio.sleep(3)
        changed_at = 0.0

        async def happens() -> None:
            nonlocal changed_at
            changed_at = change(call)
            await asyncio.sleep(seconds)

        near, far = await call.until(happens())
        moving = max(near.moving_after(changed_at), far.moving_after(changed_at))
        return {"moving_again_ms": moving, "new_connections": _made(near) + _made(far)}

    return play


async def _squeezed(call: Call, seconds: float) -> Figures:
    """The near page's downlink: 3 Mbit/s, 300 kbit/s, 3 Mbit/s, a third of the time each."""
    wide, narrow = (Impairment(delay_ms=25, rate_kbit=rate, queue_ms=300) for rate in (3000, 300))
    call.link.become(both=_CLEAN)
    call.link.become(down=wide)
    narrow_at = wide_at = 0.0

    async def happens() -> None:
        nonlocal narrow_at, wide_at
        await asyncio.sleep(seconds / 3)
        narrow_at = epoch_ms(call.link.become(down=narrow))
        await asyncio.sleep(seconds / 3)
        wide_at = epoch_ms(call.link.become(down=wide))
        await asyncio.sleep(seconds / 3)

    near, _ = await call.until(happens())
    frames = near.after.frames
    best = max(height for at, height in frames if at < narrow_at)
    lower = min(
        (at for at, height in frames if at > narrow_at and height < best), default=float("inf")
    )
    back = min(
        (at for at, height in frames if at > wide_at and height >= best), default=float("inf")
    )
    return {
        "lower_ms": lower - narrow_at,
        "back_ms": back - wide_at,
        "concealed_share": near.concealed_share,
        "disconnects": near.disconnects,
    }


async def _lips(call: Call, seconds: float) -> Figures:
    """The near page sees another layer for a while; then each end presses Refresh."""
    wide, narrow = (Impairment(delay_ms=25, rate_kbit=rate, queue_ms=300) for rate in (3000, 300))
    call.link.become(both=_CLEAN)
    call.link.become(down=narrow)
    await asyncio.sleep(seconds / 6)
    call.link.become(down=wide)
    # Browsers bring lips together by some 5 ms a second.
    await asyncio.sleep(seconds / 3)
    switched, _ = await call.over(seconds / 6)
    await call.far.press("Refresh")
    await call.near.press("Refresh")
    await asyncio.sleep(seconds / 6)
    near, far = await call.over(seconds / 6)
    return {
        "switched_lip_sync_ms": switched.lip_sync_ms,
        "refreshed_lip_sync_ms": max(near.lip_sync_ms, far.lip_sync_ms),
    }


_LOSS_BRIEFLY: Final = {"disconnects": 0, "frozen_share": 0.25, "concealed_share": 0.1}

ROWS: Final = (
    Row("a clean link, 50 ms there and back", _steady(_CLEAN), {"disconnects": 0}, {}),
    Row(
        "5 % loss, 100 ms there and back",
        _steady(Impairment(delay_ms=50, loss=0.05)),
        {"disconnects": 0, "frozen_share": 0.02, "concealed_share": 0.03, "lip_sync_ms": 40},
        _LOSS_BRIEFLY,
    ),
    Row(
        "10 % loss, 300 ms there and back",
        _steady(Impairment(delay_ms=150, loss=0.1)),
        {"disconnects": 0, "concealed_share": 0.1},
        {"disconnects": 0, "concealed_share": 0.2},
    ),
    Row(
        "300 ms of nothing every 5 s",
        _bursts,
        {"disconnects": 0, "frozen_share": 0.08, "recovery_ms": 500},
        {"disconnects": 0, "frozen_share": 0.25, "recovery_ms": 1_000},
    ),
    Row(
        "10 s of nothing",
        _blackout,
        {"moving_again_ms": 3_000, "new_connections": 0},
        {"moving_again_ms": 4_000},
    ),
    Row(
        "another port, as after a NAT forgot",
        _address(lambda call: epoch_ms(call.link.rebind())),
        {"moving_again_ms": 1_000, "new_connections": 0},
        {"moving_again_ms": 2_000},
    ),
    Row(
        "another line, behind the same NAT",
        _address(lambda call: epoch_ms(call.link.fail_over())),
        {"moving_again_ms": 1_000, "new_connections": 0},
        {"moving_again_ms": 2_000},
    ),
    Row(
        "another address, the old one gone",
        _address(lambda call: epoch_ms(call.link.move())),
        {"moving_again_ms": 1_000},
        # Chromium on Linux tells WebRTC of a new address after 2 s.
        {"moving_again_ms": 4_000},
    ),
    Row(
        "40 s of nothing, then Refresh",
        _silence,
        # 30 s: how long consent to send lasts.
        {"shown_as_gone_ms": 32_000, "moving_again_ms": 5_000, "other_participants": 0},
        {},
    ),
    Row(
        "3 Mbit/s down, 300 kbit/s, 3 Mbit/s",
        _squeezed,
        {"disconnects": 0, "lower_ms": 3_000, "back_ms": 10_000, "concealed_share": 0.03},
        {},
    ),
    Row(
        "lips after a layer switch and Refresh",
        _lips,
        {"switched_lip_sync_ms": 40, "refreshed_lip_sync_ms": 40},
        {},
    ),
)


def missed(figures: Figures, limits: Figures) -> dict[str, tuple[float, float]]:
    """Each figure that is over its limit, with it."""
    return {name: (figures[name], limit) for name, limit in limits.items() if figures[name] > limit}
