"""The time a request has left, known to everything that works for it."""

import math
import time
from contextvars import ContextVar
from dataclasses import dataclass

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
"""How long the caller will wait: whole milliseconds from when it sends the request."""

TIMER_SECONDS = 0.005
"""How early a timer of the event loop may come, generously."""


@dataclass(slots=True)
class Deadline:
    """A moment after which the answer interests nobody.

    Args:
        at: seconds of `time.monotonic()`, which a worker thread knows too.
        caller_waits: seconds that the caller has given, if that is less than we would.
        given: seconds that we give to every request.
    """

    at: float
    caller_waits: float = math.inf
    given: float = math.inf

    @classmethod
    def after(cls, seconds: float, *, caller_waits: float = math.inf) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, caller_waits, seconds if caller_waits == math.inf else math.inf)

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


def caller_gave_up() -> bool:
    """Whether the time is over that the caller gave: what was not ready by then is not to blame for that."""
    deadline = current_deadline.get()
    return deadline is not None and deadline.caller_waits < math.inf and deadline.remaining() < TIMER_SECONDS
