"""Give the last good answer where a new one cannot be had.

Only for failures that it can stand in for: a bug, a wrong request or a thing that does not exist is not made better by
an older answer, and would never be found. Each use is counted and marked.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from ..errors.classification import ErrorCategory, ErrorClassifier
from ..errors.recovery import RecoverySelector, RecoveryStrategy
from .events import Event, FallbackUsed

T = TypeVar("T")


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
        classifier: tells what kind of failure an exception is.
        events: learns of each substitute.
        max_entries: answers kept; the one that was renewed longest ago goes first.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        name: str,
        max_age: float,
        *,
        classifier: ErrorClassifier,
        events: Callable[[Event], None],
        max_entries: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._max_age = max_age
        self._classifier = classifier
        self._selector = RecoverySelector()
        self._events = events
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
            classified = self._classifier.classify(error)
            if classified.category is ErrorCategory.NOT_FOUND:
                self._kept.pop(key, None)  # It is gone, so what it was is no answer any more.
            kept: Answer[T] | None = self._find(key)
            if kept is None or self._selector.select_strategy(classified) is RecoveryStrategy.ESCALATE:
                raise
            self._events(FallbackUsed(self._name, "stale", error))
            return kept
        if self._max_age:
            self._kept[key] = (self._clock(), value)
            self._kept.move_to_end(key)
            if len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)
        return Answer(value)

    def _find(self, key: Hashable) -> Answer[T] | None:
        if key not in self._kept:
            return None
        since, value = self._kept[key]
        age = self._clock() - since
        if age > self._max_age:
            return None
        return Answer(value, age)  # type: ignore[arg-type]
