"""Redis is killed, restarted empty, stopped or unreachable under load: no request notices, and all is well again soon."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.support.redis import RedisServer
from tests.support.replica import Replica, Upstream, replicas, seconds_until, states

SOON, CONVERGED = 0.25, 2.0
SLOW = 0.2
"""Seconds: less than one timeout of Redis, and enough for a machine that is busy."""


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
        for one in members:
            await one.do("begin_load", pause=0.002)
        with fault(redis):
            await asyncio.sleep(1.5)
            assert await shared(members) == [False, False]
        loads = [await one.do("end_load") for one in members]
        assert [load["failed"] for load in loads] == [0, 0]
        assert max(load["slowest"] for load in loads) < SLOW
        assert max(load["latest"] for load in loads) < SLOW
        async with asyncio.timeout(CONVERGED):
            while not all(await shared(members)):
                await asyncio.sleep(0.01)

        served.well = False
        await fail_by(members[0], 3)
        await fail_by(members[1], 2)
        assert await seconds_until(members, "open") < SOON


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
        assert await seconds_until(members, "closed") < SOON
        assert await shared(members) == [True, True]
