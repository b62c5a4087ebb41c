"""A steady load on one route, and what became of each request."""

import asyncio
import itertools
import re
import time
from typing import NamedTuple, Self

import httpx

FRESH, STALE, NO_ANSWER = "fresh", "stale", "no answer"

KNOWN = tuple(f"known-{number}" for number in range(5))
"""What is asked for before anything fails, so that a last good answer can exist."""

PROBE = "probe"
"""What is asked for to see whether the fault is over; it belongs to no load."""


class Answer(NamedTuple):
    """What a client got: `FRESH`, `STALE` for a 2xx with an Age, `NO_ANSWER`, or the status; and after how long."""

    outcome: str
    seconds: float


class Clients:
    """Many clients of one route; an async context manager.

    Args:
        base_url: of the server.
        route: as in the OpenAPI document; its parameter is what is asked for.
        patience: seconds after which a client gives up.
    """

    def __init__(self, base_url: str, route: str, patience: float = 10.0) -> None:
        self._patience = patience
        self._route = route
        self._new = (f"new-{number}" for number in itertools.count())
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        # Without certificates, which take long to load.
        self._client = httpx.AsyncClient(
            base_url=base_url, timeout=patience, limits=limits, trust_env=False, verify=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, key: str) -> Answer:
        """One request; whatever goes wrong is an answer too."""
        begin = time.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                response = await self._client.get(re.sub(r"\{\w+\}", key, self._route))
        except (httpx.TransportError, TimeoutError):
            return Answer(NO_ANSWER, time.monotonic() - begin)
        if response.is_success:
            return Answer(STALE if "Age" in response.headers else FRESH, time.monotonic() - begin)
        return Answer(str(response.status_code), time.monotonic() - begin)

    async def begin(self, rate: float, seconds: float) -> "list[asyncio.Task[Answer]]":
        """Send `rate` requests a second, however long answers take: clients do not slow down because a server does.

        Half of them ask for what is known, half for what was never asked for. Some may be under way at the return.
        """
        started = time.monotonic()
        tasks = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(started + number / rate - time.monotonic())
            key = KNOWN[number // 2 % len(KNOWN)] if number % 2 else next(self._new)
            tasks.append(asyncio.create_task(self.ask(key)))
        await asyncio.sleep(started + seconds - time.monotonic())
        return tasks

    async def until_fresh(self, limit: float) -> float | None:
        """Seconds until an answer is fresh again, asking ten times a second; None if none was within `limit`."""
        begin = time.monotonic()
        while time.monotonic() - begin <= limit:
            if (await self.ask(PROBE)).outcome == FRESH:
                return time.monotonic() - begin
            await asyncio.sleep(0.1)
        return None
