"""Several processes and a Redis: the replicas act as one, within a quarter of a second."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.support.redis import RedisServer
from tests.support.replica import Replica, Upstream, replicas, seconds_until, states

SOON = 0.25


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, int]]:
    """An upstream and its port."""
    async with Upstream.serving() as served:
        yield served


@pytest.mark.parametrize("skew", [0.0, 30.0])
async def test_the_fleet_opens_tries_and_closes_as_one(
    upstream: tuple[Upstream, int], redis_url: str, fleet: str, skew: float
) -> None:
    served, port = upstream
    async with replicas(4, redis_url, port, fleet=fleet, skew=skew) as members:
        delays = [await open_and_close(served, members)]
        while min(opening for opening, _ in delays) > SOON or min(closing for _, closing in delays) > SOON:
            assert len(delays) < 3, delays  # A busy machine may be late, but not every time.
            delays.append(await open_and_close(served, members))


async def open_and_close(served: Upstream, members: list[Replica]) -> tuple[float, float]:
    """Seconds until all have opened after the last failure, and have closed after the last success that was needed."""
    served.well, served.seconds = True, 0.0
    for one in members:
        assert await one.do("call", times=3) == ["good"] * 3
    served.well, served.calls = False, 0
    for one, times in zip(members, (2, 1, 1, 1), strict=True):
        assert set(await states(members)) == {"closed"}
        assert await one.do("call", times=times) == ["bad!"] * times
    opening = await seconds_until(members, "open")
    assert served.calls == 5
    assert await members[0].do("call") == ["refused"]

    served.well, served.seconds, served.most = True, 0.1, 0
    served.ended, served.watched = 0, 2  # With the second success it is closed, and calls run side by side again.
    outcomes: Counter[str] = Counter()
    while outcomes["good"] < 2:  # The success threshold.
        for (result,) in await asyncio.gather(*(one.do("call") for one in members)):
            outcomes[result] += 1
    closing = await seconds_until(members, "closed")
    assert served.most == 1
    return opening, closing


async def test_one_with_a_broken_network_opens_itself_alone(
    upstream: tuple[Upstream, int], redis_url: str, fleet: str, unused_port: int
) -> None:
    _, port = upstream
    async with replicas(4, redis_url, port, fleet=fleet, policy={"recovery_timeout": 30}) as members:
        broken, *others = members
        await broken.do("turn_to", port=unused_port)
        for _ in range(5):
            assert await broken.do("call") == ["bad!"]
            for one in others:
                assert await one.do("call") == ["good"]
        assert await states(members) == ["open", "closed", "closed", "closed"]
        await asyncio.sleep(SOON)
        assert await states(members) == ["open", "closed", "closed", "closed"]


async def test_commands_follow_from_replicas_and_not_from_traffic(
    upstream: tuple[Upstream, int], redis: RedisServer, fleet: str
) -> None:
    _, port = upstream
    async with replicas(2, redis.url, port, fleet=fleet) as members, Redis.from_url(redis.url) as client:
        rates, calls = [], []
        for pause in (0.02, 0.0005):
            for one in members:
                await one.do("begin_load", pause=pause)
            await client.config_resetstat()
            await asyncio.sleep(1)
            rates.append((await client.info("commandstats"))["cmdstat_evalsha"]["calls"] / 2)
            calls.append(sum([(await one.do("end_load"))["calls"] for one in members]))
    assert calls[1] > 10 * calls[0]
    assert max(rates) <= 21
    assert min(rates) > 5
