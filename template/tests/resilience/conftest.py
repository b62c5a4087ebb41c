"""Fixtures for the tests of the engine."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.subject import ErrorClassifier, Event, Pipeline, Policy
from tests.support.calls import POLICY
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """Time that passes when the test says so."""
    return Clock()


@pytest.fixture
def seen() -> list[Event]:
    """What was told."""
    return []


@pytest.fixture
def make(clock: Clock, seen: list[Event]) -> Callable[..., Pipeline]:
    """Makes pipelines, each with some changes of the policy."""

    def make(retry_after: float | None = None, **changes: Any) -> Pipeline:
        pipeline = Pipeline(
            "stock",
            Policy(**changes).over(POLICY),
            classifier=ErrorClassifier(),
            events=seen.append,
            retry_after=lambda _: retry_after,
            clock=clock,
            sleep=clock.sleep,
        )
        seen.clear()
        return pipeline

    return make
