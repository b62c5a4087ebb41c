"""What happens inside the engine, told to whoever wants to know.

The engine does not know who logs or counts: they subscribe. Events are named tuples, frozen and cheap enough for the path
of a successful call.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger(__name__)

SUCCESS = "success"
"""The outcome of a call that has returned; all others are categories of errors, or `cancelled`."""


class CallFinished(NamedTuple):
    """A protected call is over: `attempts` and `waited` (seconds of backoff) are its own statistics."""

    name: str
    outcome: str
    duration: float
    attempts: int
    waited: float


class AttemptFailed(NamedTuple):
    """One attempt failed; `number` counts from 1, `outcome` is the category of the error."""

    name: str
    number: int
    outcome: str


class RetryScheduled(NamedTuple):
    """Another attempt follows the failed attempt `number` after `delay` seconds; `error` is None after a bad result."""

    name: str
    number: int
    delay: float
    error: BaseException | None


class RetryBudgetExhausted(NamedTuple):
    """A retry was wanted and there was no budget for it."""

    name: str


class BreakerChanged(NamedTuple):
    """A circuit breaker went from one state to another."""

    name: str
    old: str
    new: str
    failure_count: int


class FallbackUsed(NamedTuple):
    """A substitute was given in the place of an answer; `kind` tells which."""

    name: str
    kind: str
    error: Exception


Event = CallFinished | AttemptFailed | RetryScheduled | RetryBudgetExhausted | BreakerChanged | FallbackUsed
Subscriber = Callable[[Event], None]


class Events:
    """Passes events to subscribers; one that fails is logged and cannot break the call."""

    def __init__(self, *subscribers: Subscriber) -> None:
        self._subscribers = subscribers

    def __call__(self, event: Event) -> None:
        """Tell every subscriber of `event`."""
        for tell in self._subscribers:
            try:
                tell(event)
            except Exception:
                log.exception("a subscriber failed")
