"""What redis-py raises is known, like everything else."""

import inspect

import pytest
from redis import exceptions

from tests.subject import ErrorCategory, ErrorClassifier, redis_errors


@pytest.fixture
def classifier() -> ErrorClassifier:
    classifier = ErrorClassifier()
    redis_errors.register_errors(classifier)
    return classifier


def test_every_exception_has_a_rule_of_its_own_family(classifier: ErrorClassifier) -> None:
    kinds = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, Exception)]
    assert len(kinds) > 20
    assert [kind for kind in kinds if classifier.rule_for(kind)[0] in {Exception, BaseException}] == []


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (exceptions.ConnectionError(), ErrorCategory.NETWORK),
        (exceptions.TimeoutError(), ErrorCategory.TIMEOUT),
        (exceptions.BusyLoadingError(), ErrorCategory.SERVICE_UNAVAILABLE),
        (exceptions.OutOfMemoryError(), ErrorCategory.SERVICE_UNAVAILABLE),
        (exceptions.AuthenticationError(), ErrorCategory.INTERNAL),
        (exceptions.ResponseError(), ErrorCategory.INTERNAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.value,
)
def test_verdicts(classifier: ErrorClassifier, error: Exception, category: ErrorCategory) -> None:
    assert classifier.classify(error).category is category
