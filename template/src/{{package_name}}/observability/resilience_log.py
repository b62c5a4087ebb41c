"""What the resilience engine does, in the log: retries, spent budgets, changed breakers, substitutes."""

from ..resilience.events import (
    BreakerChanged,
    Event,
    FallbackUsed,
    RetryBudgetExhausted,
    RetryScheduled,
)
from .logs import get_logger

log = get_logger(__name__)


def log_resilience(event: Event) -> None:
    """Write a line for what an engineer wants to know; single attempts and calls would drown it."""
    if isinstance(event, RetryScheduled):
        log.warning(
            "retrying",
            upstream=event.name,
            attempt=event.number,
            delay_ms=round(event.delay * 1000, 1),
            error_type=type(event.error).__name__,
        )
    elif isinstance(event, BreakerChanged):
        log.warning(
            "circuit breaker changed",
            breaker=event.name,
            state=event.new,
            previous=event.old,
            failure_count=event.failure_count,
        )
    elif isinstance(event, RetryBudgetExhausted):
        log.warning("retry budget exhausted", upstream=event.name)
    elif isinstance(event, FallbackUsed):
        log.warning("fallback used", upstream=event.name, kind=event.kind, exc_info=event.error)
