"""What substitutes may stand in for, and one of them: the last good answer where a new one cannot be had.

Only for failures that they can make up for: a bug, a wrong request or a thing that does not exist is not made better by
another answer, and would never be found. Each use is counted and marked.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from ..errors.classification import ErrorCategory, ErrorClassifier
from ..errors.recovery import RecoverySelector, RecoveryStrategy
from .events import Event, FallbackUsed

T = TypeVar("T")


class Substitutes:
    """The rule for all fallbacks of one app, and what they remember.

    Args:
        classifier: tells what kind of failure an exception is.
        events: learns of each substitute.
    """

    def __init__(self, classifier: ErrorClassifier, events: Callable[[Event], None]) -> None:
        self._classifier = classifier
        self._selector = RecoverySelector()
        self._events = events
        self._last_good: dict[str, StaleIfError] = {}

    def may_replace(self, error: Exception) -> bool:
        """Whether another answer is better than `error`."""
        return self._selector.select_strategy(self._classifier.verdict(error)) is not RecoveryStrategy.ESCALATE

    def is_gone(self, error: Exception) -> bool:
        """Whether `error` tells that what was asked for does not exist, and what it once was is no answer any more."""
        return self._classifier.verdict(error).category is ErrorCategory.NOT_FOUND

    def used(self, name: str, kind: str, error: Exception) -> None:
        """Record that a substitute of this `kind` was given for `name`, because of `error`."""
        self._events(FallbackUsed(name, kind, error))

    def last_good(self, name: str, max_age: float, max_entries: int = 1000) -> "StaleIfError":
        """The last good answers of `name`: the same ones for every request, with the limits of the first."""
        return self._last_good.setdefault(name, StaleIfError(name, max_age, substitutes=self, max_entries=max_entries))


class Answer(NamedTuple, Generic[T]):
    """A value, and how many seconds old it is; None for a current one."""

    value: T
    age: float | None = None


class StaleIfError:
    """Keeps the last good answers, and gives one out when a new one cannot be had.

    The source is always asked first: what is asked for less would be a cache, and hide a failure until it expires.
    The name is that of RFC 5861, section 4.

    Args:
        name: of the source.
        max_age: seconds after which a kept answer is worth nothing.
        substitutes: decide what an old answer may stand in for.
        max_entries: answers kept; the one that was renewed longest ago goes first.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        name: str,
        max_age: float,
        *,
        substitutes: Substitutes,
        max_entries: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._max_age = max_age
        self._substitutes = substitutes
        self._max_entries = max_entries
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()

    async def call(self, key: Hashable, function: Callable[[], Awaitable[T]]) -> Answer[T]:
        """The result of `await function()`, or the one kept under `key` if that fails.

        Args:
            key: names the question, such as `("stock", "A-1")`; no other question may have the same.
            function: asks it.

        Raises:
            Exception: what `function` raised, where nothing is kept or nothing may stand in for it.
        """
        try:
            value = await function()
        except Exception as error:
            if self._substitutes.is_gone(error):
                self._kept.pop(key, None)
            kept: Answer[T] | None = self._find(key)
            if kept is None or not self._substitutes.may_replace(error):
                raise
            self._substitutes.used(self._name, "stale", error)
            return kept
        if self._max_age:
            self._kept[key] = (self._clock(), value)
            self._kept.move_to_end(key)
            if len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)
        return Answer(value)

    def _find(self, key: Hashable) -> Answer[T] | None:
        since, value = self._kept.get(key, (-math.inf, None))
        age = self._clock() - since
        return Answer(value, age) if age <= self._max_age else None  # type: ignore[arg-type]
