"""What the resilience engine does, in the log: retries and what came of them, spent budgets, breakers, substitutes, levels.

Single attempts and calls leave no line: they would drown the others.
"""

from ..errors.hierarchy import ApplicationError
from ..resilience.events import (
    BreakerChanged,
    CallRetried,
    FallbackUsed,
    LevelChanged,
    RetryBudgetExhausted,
    RetryScheduled,
    Subscriptions,
)
from .logs import get_logger

log = get_logger(__name__)


def _retry(event: RetryScheduled) -> None:
    log.warning(
        "retrying",
        upstream=event.name,
        attempt=event.number,
        delay_ms=round(event.delay * 1000, 1),
        error_type=None if event.error is None else type(event.error).__name__,
    )


def _retried(event: CallRetried) -> None:
    log.info(
        "retried call finished",
        upstream=event.name,
        outcome=event.outcome,
        attempts=event.attempts,
        waited_ms=round(event.waited * 1000, 1),
    )


def _budget(event: RetryBudgetExhausted) -> None:
    log.warning("retry budget exhausted", upstream=event.name)


def _breaker(event: BreakerChanged) -> None:
    log.warning(
        "circuit breaker changed",
        breaker=event.name,
        state=event.new,
        previous=event.old,
        failure_count=event.failure_count,
    )


def _fallback(event: FallbackUsed) -> None:
    error, cause = event.error, event.error.__cause__
    log.warning(
        "fallback used",
        name=event.name,
        kind=event.kind,
        error_type=type(error).__name__,
        cause_type=None if cause is None else type(cause).__name__,
        # An error of ours says with its class what happened; while a circuit is open there is one for each call.
        exc_info=None if isinstance(error, ApplicationError) else error,
    )


def _level(event: LevelChanged) -> None:
    log.warning("service level changed", service_level=event.new, previous=event.old)


LOGGED: Subscriptions = {
    RetryScheduled: _retry,
    CallRetried: _retried,
    RetryBudgetExhausted: _budget,
    BreakerChanged: _breaker,
    FallbackUsed: _fallback,
    LevelChanged: _level,
}
