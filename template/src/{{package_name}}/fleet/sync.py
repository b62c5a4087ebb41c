"""Keeps the circuit breakers of this process in step with those of the other replicas, beside the requests.

One task asks Redis `1 / PERIOD_SECONDS` times a second, in one round trip for all breakers. No request ever waits for
it. When Redis does not answer, each breaker decides alone until it does again.
"""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ..observability.logs import get_logger
from ..resilience.shared_breaker import BEGIN_SECONDS, Report, SharedBreaker
from ..upstreams.connection import UpstreamConnection

PERIOD_SECONDS = 0.05
TIMEOUT_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 1.0
"""Between two attempts to reach Redis again."""
LIFETIME_SECONDS = 3.0
"""A replica that was not heard of for so long does not count any more."""
KEEP_SECONDS = 60.0
"""What Redis knows vanishes so long after it can be of any use."""

SCRIPT = files(__package__).joinpath("fleet.lua").read_text(encoding="utf-8")
SCRIPT_NAME = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

PAUSES = random.Random()  # noqa: S311 - not those of the module, which tests may count on

log = get_logger(__name__)


def key_of(fleet: str, breaker: str) -> str:
    """Where Redis keeps what it knows of one breaker."""
    return f"breaker:{fleet}:{breaker}"


def message_of(replica: str, report: Report, trial_seconds: float) -> str:
    """What `replica` sends of one breaker, whose trial calls take `trial_seconds` at most."""
    lease = BEGIN_SECONDS + trial_seconds
    keep = report.said["recovery"] + lease + KEEP_SECONDS
    return json.dumps({**report.said, "id": replica, "lifetime": LIFETIME_SECONDS, "lease": lease, "keep": keep})


class BreakerSync:
    """The part of one process in the fleet.

    Args:
        url: of Redis.
        fleet: those with the same name act as one; the name of the service and of its environment.
        uniform: a random number between its arguments, for the pauses.

    Attributes:
        connected: whether Redis has answered last; None before the first question.
    """

    def __init__(self, url: str, fleet: str, *, uniform: Callable[[float, float], float] = PAUSES.uniform) -> None:
        self.connected: bool | None = None
        self._url = url
        self._fleet = fleet
        self._uniform = uniform
        self._replica = secrets.token_hex(8)
        self._search: asyncio.Future[Any] | None = None

    @asynccontextmanager
    async def around(self, running: AbstractAsyncContextManager[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """The lifespan `running`, whose upstreams share their breakers meanwhile."""
        async with running as state:
            upstreams: Mapping[str, UpstreamConnection] = state["upstreams"]
            pipelines = [one.pipeline for one in upstreams.values()]
            task = asyncio.create_task(
                self.run({one.breaker: one.attempt_timeout for one in pipelines if one.breaker is not None})
            )
            try:
                yield state
            finally:
                while not task.done():  # A cancellation can get lost in a client that was about to give up anyway.
                    task.cancel()
                    await asyncio.wait({task}, timeout=TIMEOUT_SECONDS)

    async def run(self, breakers: Mapping[SharedBreaker, float]) -> None:
        """Keep the breakers in step until cancelled; beside each, the seconds that a trial call may take."""
        # A retry would be one more wait, and the next period is one anyway.
        client = Redis.from_url(
            self._url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            max_connections=1,
        )
        try:
            while breakers:
                try:
                    async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                        await self._exchange(client, breakers)
                except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may do better
                    self._lost(error, breakers)
                    await asyncio.sleep(self._uniform(LONGEST_PAUSE_SECONDS / 4, LONGEST_PAUSE_SECONDS))
                else:
                    await asyncio.sleep(PERIOD_SECONDS)
        finally:
            with suppress(RedisError):  # Not everybody takes a farewell.
                await client.aclose()

    async def _exchange(self, client: Redis, breakers: Mapping[SharedBreaker, float]) -> None:
        if not self.connected:
            await client.connection_pool.disconnect()
            await self._find(**client.connection_pool.connection_kwargs)
            await client.script_load(SCRIPT)
        reports = [(breaker, breaker.report()) for breaker in breakers]
        async with client.pipeline(transaction=False) as pipeline:
            for breaker, report in reports:
                message = message_of(self._replica, report, breakers[breaker])
                pipeline.evalsha(SCRIPT_NAME, 1, key_of(self._fleet, breaker.name), message)
            answers = await pipeline.execute()
        for (breaker, report), answer in zip(reports, answers, strict=True):
            breaker.adopt(report, json.loads(answer))
        if self.connected is False:
            log.warning("circuit breakers are shared again")
        self.connected = True

    async def _find(self, host: str = "localhost", port: int = 6379, **_: Any) -> None:
        """Wait for the address of Redis, as the client will, but for no second one while the first search goes on: it
        cannot be ended, and keeps one of the few threads in which everybody's addresses are looked up.
        """
        if self._search is None or self._search.done():
            self._search = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo(host, port))
        await asyncio.shield(self._search)

    def _lost(self, error: Exception, breakers: Mapping[SharedBreaker, float]) -> None:
        for breaker in breakers:
            breaker.leave()
        if self.connected is not False:
            log.warning("circuit breakers are not shared: Redis does not answer", exc_info=error)
        self.connected = False
