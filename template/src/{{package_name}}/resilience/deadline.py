"""The time a request has left, known to everything that works for it."""

import math
import time
from contextvars import ContextVar
from dataclasses import dataclass

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
"""How long the caller will wait: whole milliseconds from when it sends the request."""


@dataclass(slots=True)
class Deadline:
    """A moment after which the answer interests nobody.

    Args:
        at: seconds of `time.monotonic()`, which a worker thread knows too.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    def lift(self) -> None:
        """There is no limit any more, for everything that works for the same request."""
        self.at = math.inf

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())


current_deadline: ContextVar[Deadline | None] = ContextVar("current_deadline", default=None)


def time_left(limit: float) -> float:
    """`limit` seconds, or what the request has left if that is less."""
    deadline = current_deadline.get()
    return limit if deadline is None else min(limit, deadline.remaining())
