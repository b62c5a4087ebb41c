"""Redis is killed, restarted empty, stopped or unreachable under load: no request notices, and all is well again soon."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import inf

import pytest

from tests.support.redis import RedisServer
from tests.support.replica import Replica, Upstream, replicas, seconds_until, states

CONVERGED = 2.0
SLOWER = 0.01
"""Seconds by which an outage may delay the event loop or a call, against the same load without one."""


@contextmanager
def killed(redis: RedisServer) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, int]]:
    async with Upstream.serving() as served:
        yield served


async def shared(members: list[Replica]) -> list[bool]:
    return [(await one.do("look"))["shared"] for one in members]


async def worst_delay(members: list[Replica], seconds: float) -> float:
    """The longest in `seconds` under load, be it of a call or of the event loop."""
    for one in members:
        await one.do("begin_load", pause=0.002)
    await asyncio.sleep(seconds)
    loads = [await one.do("end_load") for one in members]
    assert [load["failed"] for load in loads] == [0] * len(members)
    return float(max(max(load["slowest"], load["latest"]) for load in loads))


async def fail_by(one: Replica, times: int) -> None:
    assert await one.do("call", times=times) == ["bad!"] * times


@pytest.mark.parametrize("fault", [killed, RedisServer.stopped, RedisServer.black_hole])
async def test_no_request_notices(
    upstream: tuple[Upstream, int],
    redis: RedisServer,
    fleet: str,
    fault: Callable[[RedisServer], AbstractContextManager[None]],
) -> None:
    served, port = upstream
    async with replicas(2, redis.url, port, fleet=fleet, policy={"recovery_timeout": 30}) as members:
        usual, worst, tries = 0.0, inf, 0
        while worst > usual + SLOWER:
            assert tries < 3, (worst, usual)  # A busy machine may be late, but not every time.
            tries += 1
            usual = max(usual, await worst_delay(members, 1.0))
            with fault(redis):
                worst = min(worst, await worst_delay(members, 1.5))
                assert await shared(members) == [False, False]
            async with asyncio.timeout(CONVERGED):
                while not all(await shared(members)):
                    await asyncio.sleep(0.01)

        served.well = False
        await fail_by(members[0], 3)
        await fail_by(members[1], 2)
        assert await seconds_until(members, "open") < CONVERGED


async def test_without_redis_each_decides_alone_and_then_they_agree_again(
    upstream: tuple[Upstream, int], redis: RedisServer, fleet: str
) -> None:
    served, port = upstream
    async with replicas(3, redis.url, port, fleet=fleet, policy={"recovery_timeout": 30}) as members:
        redis.kill()
        async with asyncio.timeout(5):
            while any(await shared(members)):
                await asyncio.sleep(0.01)
        served.well = False
        for one in members[:2]:
            await fail_by(one, 5)
            assert await one.do("call") == ["refused"]
        assert await states(members) == ["open", "open", "closed"]
        redis.start()
        assert await seconds_until(members, "open") < CONVERGED


async def test_an_open_fleet_stays_open_when_redis_comes_back_empty(
    upstream: tuple[Upstream, int], redis: RedisServer, fleet: str
) -> None:
    served, port = upstream
    async with replicas(2, redis.url, port, fleet=fleet, policy={"recovery_timeout": 2}) as members:
        served.well = False
        await fail_by(members[0], 3)
        await fail_by(members[1], 2)
        await seconds_until(members, "open")
        redis.kill()
        redis.start()
        served.well, served.calls = True, 0
        assert await states(members) == ["open", "open"]
        async with asyncio.timeout(10):
            while served.calls < 2:
                await asyncio.gather(*(one.do("call") for one in members))
        assert await seconds_until(members, "closed") < CONVERGED
        assert await shared(members) == [True, True]
