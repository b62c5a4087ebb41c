"""Whether the circuit breakers are shared, as a gauge."""

import asyncio
from pathlib import Path

import pytest

from tests.subject import lifespan
from tests.support.environment import make_app
from tests.support.redis import RedisServer
from tests.support.server import connect, serving


async def test_it_is_one_as_long_as_redis_answers(with_upstream: None, redis: RedisServer, tmp_path: Path) -> None:
    with serving(make_app(tmp_path, REDIS_URL=redis.url)) as url:
        async with connect(url) as client, asyncio.timeout(5):
            while "\ncircuit_breakers_shared 1.0\n" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)
            redis.kill()
            while "\ncircuit_breakers_shared 0.0\n" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)


async def test_where_there_is_nothing_to_share_nothing_is_amiss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "UPSTREAMS", [])
    with serving(make_app(tmp_path)) as url:
        async with connect(url) as client:
            await asyncio.sleep(0.2)
            assert "\ncircuit_breakers_shared 1.0\n" in (await client.get("/metrics")).text
