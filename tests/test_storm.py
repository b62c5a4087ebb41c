"""The simulation behind `make bench`: time jumps, and the model can be kept down, or its figures would mean nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from bench.storm import backing_off, once, storm
from bench.virtual import VirtualLoop


def test_an_hour_takes_no_time_and_timers_come_in_order() -> None:
    seen: list[tuple[float, str]] = []

    async def wait(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        seen.append((asyncio.get_running_loop().time(), name))

    async def main() -> None:
        await asyncio.gather(wait(3600, "late"), wait(0.5, "early"))

    begin = time.monotonic()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    assert seen == [(0.5, "early"), (3600.0, "late")]
    assert time.monotonic() - begin < 10


def test_what_would_wait_for_ever_is_ended() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, pytest.raises(RuntimeError, match="nothing will ever"):
        runner.run(asyncio.Event().wait())


def test_retries_alone_keep_the_server_down_and_a_seed_tells_all() -> None:
    one, same = storm(backing_off, seed=1, watched=5), storm(backing_off, seed=1, watched=5)
    assert (one.goodput, one.attempts) == (0.0, 3.0)
    assert one == same
    assert storm(once, seed=1, watched=30).goodput > 0.5
