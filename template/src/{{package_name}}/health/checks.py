"""Checks of what the service depends on, bounded in time and asked no more often than needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..resilience.timeout import with_timeout


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of a check.

    Args:
        healthy: whether the dependency answered in time.
        duration: seconds it took.
        error: the class of what went wrong; its text could name hosts and users.
    """

    healthy: bool
    duration: float
    error: str | None = None


class Check:
    """A check whose result is kept for a while, and which never runs twice at the same time.

    However often probes and people ask, the dependency sees one question in `max_age` seconds.

    Args:
        name: as it appears in `/health` and in `READY_REQUIRES`.
        probe: raises if the dependency is not well.
        timeout: seconds the probe may take.
        max_age: seconds a result is good for.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[None]],
        *,
        timeout: float = 1.0,
        max_age: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._probe = probe
        self._timeout = timeout
        self._max_age = max_age
        self._clock = clock
        self._lock = asyncio.Lock()
        self._result: CheckResult | None = None
        self._checked_at = 0.0

    async def run(self) -> CheckResult:
        """The result of the last `max_age` seconds, or a new one."""
        async with self._lock:
            if self._result is None or self._clock() - self._checked_at >= self._max_age:
                self._result = await self._ask()
                self._checked_at = self._clock()
            return self._result

    async def _ask(self) -> CheckResult:
        begin = self._clock()
        error = None
        try:
            await with_timeout(self._probe(), self._timeout)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the answer to the question is no
            error = type(failure).__name__
        return CheckResult(error is None, self._clock() - begin, error)
