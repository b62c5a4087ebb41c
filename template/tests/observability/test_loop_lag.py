"""A late event loop shows in a gauge, long enough to be scraped."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from tests.subject import LOOKS, watch_loop
from tests.support.clock import Clock
from tests.support.environment import make_app
from tests.support.server import connect, serving


async def test_the_worst_of_the_latest_looks_is_told() -> None:
    clock, told, late = Clock(), list[float](), iter([0.0, 0.5, 0.2, *[0.0] * LOOKS])

    async def oversleep(seconds: float) -> None:
        try:
            clock.pass_(seconds + next(late))
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await watch_loop(told.append, clock=clock, sleep=oversleep)
    assert told == pytest.approx([0.0, *[0.5] * LOOKS, 0.2, 0.0])


async def test_a_blocked_event_loop_shows_in_a_scrape(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    @app.get("/block")
    async def block() -> None:
        time.sleep(0.4)  # noqa: ASYNC251 - what nobody should do

    with serving(app) as url:
        async with connect(url) as client:
            await client.get("/block")
            async with asyncio.timeout(5):  # The first look may still be on its way when the first scrape is rendered.
                while (lag := await scraped_lag(client)) <= 0.2:
                    await asyncio.sleep(0.01)
    assert lag < 5


async def scraped_lag(client: httpx.AsyncClient) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    [lag] = [float(line.split()[1]) for line in lines if line.startswith("event_loop_lag_seconds ")]
    return lag
