"""The time a request has left, known to everything that works for it."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the event loop's clock after which the answer interests nobody.

    Args:
        at: seconds on the clock of `loop.time()`, which never jumps.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(asyncio.get_running_loop().time() + seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - asyncio.get_running_loop().time())


current_deadline: ContextVar[Deadline | None] = ContextVar("current_deadline", default=None)


def time_left(limit: float) -> float:
    """`limit` seconds, or what the request has left if that is less."""
    deadline = current_deadline.get()
    return limit if deadline is None else min(limit, deadline.remaining())
