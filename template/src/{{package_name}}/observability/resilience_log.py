"""What the resilience engine does, in the log: retries, spent budgets, changed breakers, substitutes.

Single attempts and calls leave no line: they would drown the others.
"""

from ..resilience.events import (
    BreakerChanged,
    FallbackUsed,
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
        error_type=type(event.error).__name__,
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
    log.warning("fallback used", upstream=event.name, kind=event.kind, exc_info=event.error)


LOGGED: Subscriptions = {
    RetryScheduled: _retry,
    RetryBudgetExhausted: _budget,
    BreakerChanged: _breaker,
    FallbackUsed: _fallback,
}
