"""Policies: layers over layers, checked as a whole."""

from typing import Any

import pytest
from tenacity import RetryCallState, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_fixed
from tenacity.asyncio import AsyncRetrying
from tenacity.asyncio import retry_if_result as retry_if_result_async

from tests.subject import DEFAULTS, ErrorClassifier, Events, Pipeline, Policy


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"total_timeout": 0.0}, "total_timeout"),
        ({"attempt_timeout": -1.0}, "attempt_timeout"),
        ({"total_timeout": float("nan")}, "total_timeout"),
        ({"recovery_timeout": float("inf")}, "recovery_timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"retry_delay": -0.1}, "retry_delay"),
        ({"retry_backoff_multiplier": 0.5}, "retry_backoff_multiplier"),
        ({"retry_budget": -0.1}, "retry_budget"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"failure_threshold": 0}, "failure_threshold"),
        ({"success_threshold": 0}, "success_threshold"),
        ({"failure_ratio": 1.5}, "failure_ratio"),
        ({"max_concurrency": float("nan")}, "max_concurrency"),
        ({"max_concurrency": 2.5}, "max_concurrency"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"retry_backoff_multiplier": float("nan")}, "retry_backoff_multiplier"),
        ({"retry_backoff_multiplier": float("inf")}, "retry_backoff_multiplier"),
        ({"retry_budget": 50}, "retry_budget"),
        ({"wait": 1.0}, "wait"),
        ({"stop": 3}, "stop"),
        ({"when": retry_if_exception_type}, "when"),
        ({"failure_ratio": 0.0}, "failure_ratio"),
        (
            {"total_timeout": 1.0, "attempt_timeout": 2.0},
            r"attempt_timeout \(2 s\) must not exceed total_timeout \(1 s\)",
        ),
    ],
)
def test_a_wrong_policy_is_refused_and_says_which_field(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Policy(**wrong)


def test_a_condition_that_is_async_is_refused() -> None:
    async def never(_: object) -> bool:
        return False

    with pytest.raises(ValueError, match="when"):
        Policy(when=retry_if_result_async(never))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="retires"):
        Policy(**dict[str, Any]({"retires": 3}))


def test_what_a_layer_says_goes_before_what_is_below() -> None:
    policy = Policy(max_retries=0).over(Policy(max_retries=5, total_timeout=2.0)).over(DEFAULTS)
    assert (policy.max_retries, policy.total_timeout, policy.max_concurrency) == (0, 2.0, 100)


def test_an_inherited_attempt_timeout_is_clamped_and_an_explicit_one_refused() -> None:
    below = Policy(total_timeout=30.0, attempt_timeout=10.0)
    assert Policy(total_timeout=2.0).over(below).attempt_timeout == 2.0
    with pytest.raises(ValueError, match="attempt_timeout"):
        Policy(attempt_timeout=31.0).over(below)


def test_a_number_of_failures_replaces_an_inherited_ratio_and_not_a_declared_one() -> None:
    declared = Policy(failure_ratio=0.5, minimum_calls=10)
    assert Policy(failure_threshold=2).over(declared).failure_ratio is None
    assert declared.over(Policy(failure_threshold=5)).failure_ratio == 0.5
    assert Policy(failure_ratio=0.1).over(Policy(failure_threshold=2)).failure_ratio == 0.1


def test_a_pipeline_needs_a_complete_policy() -> None:
    with pytest.raises(ValueError, match="total_timeout"):
        Pipeline("stock", DEFAULTS, classifier=ErrorClassifier(), events=Events())


def _attempts_until(policy: Policy) -> int:
    stop = policy.stop_condition()
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.set_result(None)
    while not stop(state):
        state.attempt_number += 1
    return state.attempt_number


def test_attempts_are_one_more_reason_to_stop_beside_a_declared_one() -> None:
    declared = Policy(stop=stop_after_attempt(6) | stop_after_delay(60)).over(Policy(max_retries=3))
    assert _attempts_until(declared) == 6
    assert _attempts_until(Policy(max_retries=1).over(declared)) == 2
    assert _attempts_until(Policy(max_retries=3).over(DEFAULTS)) == 4


def test_a_declared_wait_stands() -> None:
    wait = wait_fixed(1)
    assert Policy(retry_delay=5.0).over(Policy(wait=wait)).wait_strategy() is wait
