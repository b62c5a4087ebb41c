"""What happens inside the engine, told to whoever wants to know.

The engine does not know who logs or counts: they subscribe. Events are named tuples, frozen and cheap enough for the path
of a successful call.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

SUCCESS = "success"
"""The outcome of a call that has returned; all others are categories of errors, or `cancelled`."""

BAD_RESULT = "bad_result"
"""The outcome of an attempt that has returned what the policy retries."""


class CallFinished(NamedTuple):
    """A protected call is over, after `duration` seconds."""

    name: str
    outcome: str
    duration: float


class CallRetried(NamedTuple):
    """The statistics of a call that was tried more than once; `waited` are the seconds between its attempts."""

    name: str
    outcome: str
    attempts: int
    waited: float


class BreakerAdded(NamedTuple):
    """A circuit breaker begins, closed; `rejections` reads how many calls it has refused."""

    name: str
    rejections: Callable[[], int]


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


class LevelChanged(NamedTuple):
    """The service offers less or more than before; both are names of levels."""

    old: str
    new: str


Event = tuple[Any, ...]
"""One of the above."""

Subscriptions = Mapping[type, Callable[[Any], None]]
"""For each class of event, a function that takes one."""


class Events:
    """Passes each event to those who subscribed to its class; one that fails is logged and cannot break the call."""

    def __init__(self, *subscriptions: Subscriptions) -> None:
        self._subscribers: dict[type, list[Callable[[Any], None]]] = {}
        for subscription in subscriptions:
            for kind, tell in subscription.items():
                self._subscribers.setdefault(kind, []).append(tell)

    def __call__(self, event: Event) -> None:
        """Tell every subscriber of `event`."""
        for tell in self._subscribers.get(type(event), ()):
            try:
                tell(event)
            except Exception:
                log.exception("a subscriber failed")
