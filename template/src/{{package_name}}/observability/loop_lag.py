"""How late the event loop is: whatever blocks it, such as a long computation, delays every request at once."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

PERIOD_SECONDS = 0.1
LOOKS = 300
"""How many of the latest looks count: those of half a minute, so that no scrape misses a stall."""


async def watch_loop(
    tell: Callable[[float], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look again and again, until cancelled.

    Args:
        tell: gets the most that the loop was late of late, in seconds, at every look.
        clock: seconds that never jump.
        sleep: returns after so many seconds, and later if the loop is late.
    """
    lags: deque[float] = deque(maxlen=LOOKS)
    while True:
        due = clock() + PERIOD_SECONDS
        await sleep(PERIOD_SECONDS)
        lags.append(max(0.0, clock() - due))
        tell(max(lags))
