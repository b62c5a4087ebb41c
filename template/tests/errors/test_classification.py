"""Every exception our libraries raise has a verdict, and every verdict leads somewhere."""

import asyncio
import inspect
from collections.abc import Iterator
from types import ModuleType

import fastapi.exceptions
import httpx
import pybreaker
import pytest
import sqlalchemy.exc
import sqlalchemy.orm.exc
import starlette.exceptions
import tenacity

from tests.subject import (
    LAYERS,
    Classification,
    ErrorCategory,
    ErrorClassifier,
    ErrorSeverity,
    RecoverySelector,
    RecoveryStrategy,
    hierarchy,
)


@pytest.fixture
def classifier() -> ErrorClassifier:
    classifier = ErrorClassifier()
    for layer in LAYERS:
        layer.register_errors(classifier)
    return classifier


def _exceptions(module: ModuleType) -> Iterator[type[BaseException]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning) and kind is not Exception:
            yield kind


@pytest.mark.parametrize(
    "module",
    [hierarchy, httpx, sqlalchemy.exc, sqlalchemy.orm.exc, asyncio, tenacity, pybreaker],
    ids=lambda m: m.__name__,
)
def test_every_exception_has_a_rule_of_its_own_family(classifier: ErrorClassifier, module: ModuleType) -> None:
    kinds = list(_exceptions(module))
    assert kinds
    unmapped = [kind for kind in kinds if classifier.rule_for(kind)[0] in {Exception, BaseException}]
    assert unmapped == []


def test_a_group_of_our_own_errors_is_the_gravest_of_them(classifier: ErrorClassifier) -> None:
    down, missing = hierarchy.ServiceUnavailableError("stock"), hierarchy.NotFoundError("Order", "1")
    group = ExceptionGroup("both", [missing, ExceptionGroup("inner", [down])])
    assert classifier.verdict(group) == classifier.verdict(down)
    assert classifier.verdict(ExceptionGroup("a bug too", [down, ValueError()])) == classifier.verdict(ValueError())


def test_retries_in_vain_are_what_the_last_attempt_was(classifier: ErrorClassifier) -> None:
    def gave_up_on(outcome: Exception | None) -> tenacity.RetryError:
        attempt: tenacity.Future = tenacity.Future(3)
        if outcome is None:
            attempt.set_result(None)
        else:
            attempt.set_exception(outcome)
        return tenacity.RetryError(attempt)

    lasting = classifier.classify(gave_up_on(TimeoutError()))
    assert (lasting.category, lasting.retryable, lasting.recoverable) == (ErrorCategory.TIMEOUT, False, True)
    assert classifier.classify(gave_up_on(KeyError())).category is ErrorCategory.INTERNAL
    assert classifier.classify(gave_up_on(None)).category is ErrorCategory.SERVICE_UNAVAILABLE


def test_what_asyncio_raises_is_known(classifier: ErrorClassifier) -> None:
    assert classifier.classify(TimeoutError()).category is ErrorCategory.TIMEOUT
    assert classifier.classify(ConnectionResetError()).category is ErrorCategory.NETWORK
    assert classifier.classify(asyncio.IncompleteReadError(b"", 1)).category is ErrorCategory.NETWORK
    for bug in (asyncio.InvalidStateError(), asyncio.QueueFull()):
        assert classifier.classify(bug).category is ErrorCategory.INTERNAL
    assert not classifier.classify(asyncio.CancelledError()).retryable


def test_an_unknown_exception_is_a_bug(classifier: ErrorClassifier) -> None:
    classified = classifier.classify(ValueError("x"), {"operation": "count"})
    assert classified.category is ErrorCategory.INTERNAL
    assert not classified.retryable
    assert not classified.recoverable
    assert classified.context == {"operation": "count"}


def test_the_most_specific_rule_wins_and_context_is_kept(classifier: ErrorClassifier) -> None:
    class Late(hierarchy.NotFoundError):
        pass

    classifier.register(Late, lambda error: Classification(ErrorCategory.TIMEOUT, ErrorSeverity.LOW, retryable=True))
    classified = classifier.classify(Late("Order", "1"), {"attempt": 2})
    assert (classified.category, classified.retryable) == (ErrorCategory.TIMEOUT, True)
    assert classified.context == {"resource_type": "Order", "resource_id": "1", "attempt": 2}


def _status_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://test")
    return httpx.HTTPStatusError("x", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "category", "strategy"),
    [
        (_status_error(503), ErrorCategory.SERVICE_UNAVAILABLE, RecoveryStrategy.RETRY),
        (_status_error(429), ErrorCategory.RATE_LIMIT, RecoveryStrategy.RETRY),
        (_status_error(404), ErrorCategory.INTERNAL, RecoveryStrategy.ESCALATE),
        (httpx.ConnectTimeout("x"), ErrorCategory.TIMEOUT, RecoveryStrategy.RETRY),
        (httpx.PoolTimeout("x"), ErrorCategory.SERVICE_UNAVAILABLE, RecoveryStrategy.DEGRADE),
        (httpx.DecodingError("x"), ErrorCategory.NETWORK, RecoveryStrategy.CIRCUIT_BREAKER),
        (hierarchy.CircuitBreakerOpenError("ledger"), ErrorCategory.SERVICE_UNAVAILABLE, RecoveryStrategy.FALLBACK),
        (hierarchy.AuthenticationError(), ErrorCategory.AUTHENTICATION, RecoveryStrategy.ESCALATE),
        (MemoryError(), ErrorCategory.INTERNAL, RecoveryStrategy.ESCALATE),
        (starlette.exceptions.HTTPException(409), ErrorCategory.CONFLICT, RecoveryStrategy.ESCALATE),
        (starlette.exceptions.HTTPException(500), ErrorCategory.INTERNAL, RecoveryStrategy.ESCALATE),
        (fastapi.exceptions.RequestValidationError([]), ErrorCategory.VALIDATION, RecoveryStrategy.ESCALATE),
        (sqlalchemy.exc.TimeoutError(), ErrorCategory.SERVICE_UNAVAILABLE, RecoveryStrategy.RETRY),
        (sqlalchemy.orm.exc.StaleDataError(), ErrorCategory.CONFLICT, RecoveryStrategy.ESCALATE),
        (sqlalchemy.exc.ArgumentError(), ErrorCategory.INTERNAL, RecoveryStrategy.ESCALATE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.value,
)
def test_verdicts(
    classifier: ErrorClassifier, error: Exception, category: ErrorCategory, strategy: RecoveryStrategy
) -> None:
    classified = classifier.classify(error)
    assert classified.category is category
    assert RecoverySelector().select_strategy(classified) is strategy


def test_every_member_can_be_reached(classifier: ErrorClassifier) -> None:
    errors = [kind.__new__(kind) for kind in _exceptions(hierarchy)]
    for error in errors:
        error.context = {}  # type: ignore[attr-defined]
    errors += [_status_error(429), httpx.ConnectError("x"), httpx.DecodingError("x"), MemoryError()]
    classified = [classifier.classify(error) for error in errors]
    assert {one.category for one in classified} == set(ErrorCategory)
    assert {one.severity for one in classified} == set(ErrorSeverity)
    assert {RecoverySelector().select_strategy(one) for one in classified} == set(RecoveryStrategy)
