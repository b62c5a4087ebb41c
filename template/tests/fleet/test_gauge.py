"""Whether the circuit breakers are shared, as a gauge."""

import asyncio
from pathlib import Path

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
