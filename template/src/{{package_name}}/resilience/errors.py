"""What asyncio raises, and tenacity and pybreaker where code uses them without the engine."""

import asyncio

import pybreaker
import tenacity

from ..errors.classification import BUG, EXHAUSTED, NETWORK, REFUSED, Classification, ErrorClassifier


def register_errors(classifier: ErrorClassifier) -> None:
    """Tell the classifier of the exceptions that asyncio, tenacity and pybreaker raise."""

    def of_last_attempt(error: tenacity.RetryError) -> Classification:
        last = error.last_attempt.exception()
        if last is None:  # It was the result that was not good enough.
            return EXHAUSTED
        verdict = classifier.verdict(last)
        return Classification(verdict.category, verdict.severity, recoverable=verdict.recoverable)

    for bug in (
        asyncio.BrokenBarrierError,
        asyncio.InvalidStateError,
        asyncio.LimitOverrunError,
        asyncio.QueueEmpty,
        asyncio.QueueFull,
        getattr(asyncio, "QueueShutDown", asyncio.QueueFull),  # Since Python 3.13.
        asyncio.SendfileNotAvailableError,
    ):
        classifier.register(bug, BUG)
    classifier.register(asyncio.IncompleteReadError, NETWORK)  # The other side has gone in the middle of it.
    classifier.register(tenacity.RetryError, of_last_attempt)
    classifier.register(tenacity.TryAgain, BUG)
    classifier.register(pybreaker.CircuitBreakerError, REFUSED)
