"""Whether a substitute may stand in for a failure, decided and recorded in one place.

Only for failures that it can make up for: a bug, a wrong request or a thing that does not exist is not made better by
another answer, and would never be found.
"""

from collections.abc import Callable

from ..errors.classification import ErrorClassifier
from ..errors.recovery import RecoverySelector, RecoveryStrategy
from .events import Event, FallbackUsed
from .stale import StaleIfError


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

    def used(self, name: str, kind: str, error: Exception) -> None:
        """Record that a substitute of this `kind` was given for `name`, because of `error`."""
        self._events(FallbackUsed(name, kind, error))

    def last_good(self, name: str, max_age: float, max_entries: int) -> StaleIfError:
        """The last good answers of `name`, at most `max_entries`, for `max_age` seconds: the same ones for every request."""
        if name not in self._last_good:
            self._last_good[name] = StaleIfError(
                name, max_age, classifier=self._classifier, events=self._events, max_entries=max_entries
            )
        return self._last_good[name]
