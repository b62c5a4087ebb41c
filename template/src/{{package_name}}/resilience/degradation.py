"""Offer less when not everything works, tell how much is on offer, and offer all again by itself.

A feature that fails is off at once, and is tried again by single calls until one of them succeeds. How much is on
offer is told as a level, which follows from the features. Somebody in an incident may hold it where they want it.
"""

import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from ..errors.hierarchy import ServiceUnavailableError
from .breaker import CircuitBreaker, CircuitState, Verdict
from .deadline import caller_gave_up
from .events import BreakerChanged, Event, LevelChanged
from .policy import Name, Seconds

AUTOMATIC = "auto"
"""In the place of the name of a level: as the features have it."""


class ServiceLevel(Enum):
    """How much is on offer, from the most to the least."""

    FULL = "full"
    """Everything."""
    DEGRADED = "degraded"
    """Without the features that are on at FULL alone, or some of them."""
    MINIMAL = "minimal"
    """Only what is no feature."""
    OFFLINE = "offline"
    """Nothing: requests are refused. Nothing but a person or a setting brings this about."""


_LEVELS = list(ServiceLevel)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True))
class Feature:
    """Something that the service is better with, and can do without.

    Args:
        name: in snake_case, and not that of an upstream: it names a circuit breaker too.
        lowest: the lowest level at which it is on, FULL or DEGRADED. What has to be on below that is no feature.
        recovery_timeout: seconds from a failure to the first call that tries whether it works again.

    Raises:
        ValidationError: naming what is wrong; a ValueError.
    """

    name: Name
    lowest: Literal[ServiceLevel.FULL, ServiceLevel.DEGRADED] = ServiceLevel.FULL
    recovery_timeout: Seconds = 30.0


class Degradation:
    """The features and the level of one app.

    Args:
        features: all there are.
        is_failure: which exceptions of a feature turn it off; a bug is to be mended, not hidden.
        events: learns of each change.
        level: the name of the level to stay at, or `auto`.
        clock: seconds that never jump.

    Attributes:
        level: the present one.
        breakers: one for each feature; it is closed while the feature works.
    """

    def __init__(
        self,
        features: Iterable[Feature],
        *,
        is_failure: Callable[[Exception], bool],
        events: Callable[[Event], None],
        level: str = AUTOMATIC,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.level = ServiceLevel.FULL
        self._is_failure = is_failure
        self._events = events
        self.breakers = {
            feature: CircuitBreaker(
                feature.name,
                failure_threshold=1,
                recovery_timeout=feature.recovery_timeout,
                success_threshold=1,
                judge=self._judge,
                events=self._tell,
                clock=clock,
            )
            for feature in features
        }
        self.pin(None if level == AUTOMATIC else ServiceLevel(level))

    def breaker(self, feature: Feature) -> CircuitBreaker:
        """What the calls that make up `feature` go through.

        Raises:
            ServiceUnavailableError: the level is held below those at which it is on.
        """
        if self._pinned is not None and _LEVELS.index(self._pinned) > _LEVELS.index(feature.lowest):
            raise ServiceUnavailableError(feature.name, level=self._pinned.value)
        return self.breakers[feature]

    def pin(self, level: ServiceLevel | None) -> None:
        """Stay at `level`, whatever the features do; with None, follow them."""
        self._pinned = level
        self._update()

    def enable_degraded_mode(self) -> None:
        """Do without the features that are on at FULL alone."""
        self.pin(ServiceLevel.DEGRADED)

    def enable_minimal_mode(self) -> None:
        """Do without any feature."""
        self.pin(ServiceLevel.MINIMAL)

    def enable_automatic_mode(self) -> None:
        """Have what works, and tell the level from it."""
        self.pin(None)

    def _judge(self, error: Exception) -> Verdict:
        return Verdict.FAILURE if self._is_failure(error) and not caller_gave_up() else Verdict.NEITHER

    def _tell(self, event: Event) -> None:
        self._events(event)
        if isinstance(event, BreakerChanged):
            self._update()

    def _update(self) -> None:
        old, self.level = self.level, self._pinned or self._derived()
        if self.level is not old:
            self._events(LevelChanged(old.value, self.level.value))

    def _derived(self) -> ServiceLevel:
        """The highest level at which everything works that belongs to it."""
        failing = [
            _LEVELS.index(feature.lowest)
            for feature, breaker in self.breakers.items()
            if breaker.state is not CircuitState.CLOSED
        ]
        return _LEVELS[max(failing) + 1] if failing else ServiceLevel.FULL
