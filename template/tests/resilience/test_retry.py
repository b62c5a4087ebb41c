"""Retries: when, how often, after which wait, and from what budget."""

import asyncio
from collections.abc import Callable

import pytest
from tenacity import (
    RetryCallState,
    retry_base,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    wait_chain,
    wait_exponential,
    wait_fixed,
    wait_random,
    wait_random_exponential,
)
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from tests.subject import (
    DEFAULTS,
    AttemptFailed,
    CallRetried,
    CircuitBreakerOpenError,
    ErrorClassifier,
    Event,
    NotFoundError,
    OverloadedError,
    Pipeline,
    Policy,
    RateLimitError,
    RetryBudgetExhausted,
    ServiceUnavailableError,
)
from tests.support.calls import Calls, down
from tests.support.clock import Clock

Make = Callable[..., Pipeline]


async def test_zero_retries_is_a_switch(make: Make) -> None:
    calls = Calls(down())
    with pytest.raises(ServiceUnavailableError):
        await make(max_retries=0).call(calls, idempotent=True)
    assert calls.count == 1


async def test_what_is_not_idempotent_is_sent_once(make: Make) -> None:
    calls = Calls(down())
    with pytest.raises(ServiceUnavailableError):
        await make().call(calls, idempotent=False)
    assert calls.count == 1


async def test_a_policy_that_retries_everything_still_spares_refusals_and_cancellation(make: Make) -> None:
    pipeline = make(when=retry_if_not_exception_type(NotFoundError))
    for error in (asyncio.CancelledError(), CircuitBreakerOpenError("other"), OverloadedError()):
        calls = Calls(error)
        with pytest.raises(type(error)):
            await pipeline.call(calls, idempotent=True)
        assert calls.count == 1


async def test_the_budget_ends_the_retries(make: Make, seen: list[Event]) -> None:
    pipeline = make(breaker_enabled=False)
    calls = Calls(*(down() for _ in range(20)))
    for _ in range(4):
        with pytest.raises(ServiceUnavailableError):
            await pipeline.call(calls, idempotent=True)
    assert calls.count == 4 + 3
    assert seen.count(RetryBudgetExhausted("stock")) == 3


async def test_a_wait_that_would_outlast_the_total_timeout_is_not_begun(make: Make, clock: Clock) -> None:
    calls = Calls(*(down() for _ in range(9)))
    with pytest.raises(ServiceUnavailableError):
        await make(total_timeout=2.5, attempt_timeout=1.0).call(calls, idempotent=True)
    assert (calls.count, clock.slept) == (3, [1, 1])


async def test_what_the_other_side_asks_for_goes_before_the_wait(make: Make, clock: Clock) -> None:
    await make(retry_after=7.0).call(Calls(down()), idempotent=True)
    await make(retry_after=0.5).call(Calls(down()), idempotent=True)
    assert clock.slept == [8.0, 1.5]


async def test_statistics_of_concurrent_calls_do_not_mix(make: Make, seen: list[Event]) -> None:
    pipeline = make(failure_threshold=100)
    pipeline.budget.calls += 100
    outcomes = [[down() for _ in range(number % 3)] for number in range(9)]
    await asyncio.gather(*(pipeline.call(Calls(*errors), idempotent=True) for errors in outcomes))
    attempts = sorted(event.attempts for event in seen if isinstance(event, CallRetried))
    assert attempts == [2, 2, 2, 3, 3, 3]


async def test_a_circuit_that_opens_during_a_wait_ends_the_retries(
    make: Make, clock: Clock, seen: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(_: float) -> None:
        assert pipeline.breaker is not None
        pipeline.breaker.open()

    monkeypatch.setattr(clock, "sleep", sleep)
    pipeline = make()
    calls = Calls(down(), down())
    with pytest.raises(ServiceUnavailableError):
        await pipeline.call(calls, idempotent=True)
    assert calls.count == 1
    assert not [event for event in seen if isinstance(event, CallRetried)]


async def test_results_can_be_retried_too(make: Make, seen: list[Event]) -> None:
    pipeline = make(
        when=retry_if_exception_type(ServiceUnavailableError) | retry_if_result(lambda value: value is None)
    )
    calls = Calls(None, down(), None)
    assert await pipeline.call(calls, idempotent=True) == "done"
    assert calls.count == 4
    outcomes = [event.outcome for event in seen if isinstance(event, AttemptFailed)]
    assert outcomes == ["bad_result", "service_unavailable", "bad_result"]
    calls = Calls(None, None, None, None, None)
    assert await pipeline.call(calls, idempotent=True) is None
    assert calls.count <= 4
    once = Calls(None)
    assert await pipeline.call(once, idempotent=False) is None
    assert once.count == 1


@pytest.mark.parametrize(
    ("stop", "attempts"),
    [
        (stop_after_attempt(2), 2),
        (stop_after_attempt(5) | stop_after_delay(30), 5),
        (stop_before_delay(0.5), 1),
        (stop_after_attempt(3) & stop_after_attempt(4), 4),
    ],
)
async def test_every_kind_of_stop(make: Make, stop: stop_base, attempts: int) -> None:
    pipeline = make(stop=stop, breaker_enabled=False)
    pipeline.budget.calls += 100
    calls = Calls(*(down() for _ in range(9)))
    with pytest.raises(ServiceUnavailableError):
        await pipeline.call(calls, idempotent=True)
    assert calls.count == attempts


async def test_a_stop_after_a_delay_counts_from_the_first_attempt(make: Make, clock: Clock) -> None:
    async def slow() -> None:
        clock.pass_(4)
        raise down()

    for stop, attempts in ((stop_after_delay(7), 2), (stop_before_delay(5.5), 2), (stop_before_delay(4.5), 1)):
        pipeline = make(stop=stop, breaker_enabled=False)
        begin = clock.now
        with pytest.raises(ServiceUnavailableError):
            await pipeline.call(slow, idempotent=True)
        assert clock.now - begin == attempts * 4 + (attempts - 1) * 1


@pytest.mark.parametrize(
    ("wait", "low", "high"),
    [
        (wait_fixed(2), [2, 2, 2], [2, 2, 2]),
        (wait_random(1, 3), [1, 1, 1], [3, 3, 3]),
        (wait_exponential(multiplier=1, min=4, max=10), [4, 4, 4], [4, 4, 4]),
        (wait_exponential(multiplier=3, max=10), [3, 6, 10], [3, 6, 10]),
        (wait_random_exponential(multiplier=1, max=3), [0, 0, 0], [1, 2, 3]),
        (wait_chain(wait_fixed(1), wait_fixed(3)), [1, 3, 3], [1, 3, 3]),
        (None, [0, 0, 0], [0.5, 1, 2]),
    ],
)
async def test_every_kind_of_wait(
    clock: Clock, seen: list[Event], wait: wait_base | None, low: list[float], high: list[float]
) -> None:
    policy = Policy(
        total_timeout=60.0,
        attempt_timeout=5.0,
        max_retries=3,
        retry_delay=0.5,
        retry_backoff_multiplier=2.0,
        wait=wait,
        breaker_enabled=False,
    ).over(DEFAULTS)
    pipeline = Pipeline(
        "stock", policy, classifier=ErrorClassifier(), events=seen.append, clock=clock, sleep=clock.sleep
    )
    with pytest.raises(ServiceUnavailableError):
        await pipeline.call(Calls(*(down() for _ in range(4))), idempotent=True)
    assert len(clock.slept) == 3
    assert all(least <= slept <= most for least, slept, most in zip(low, clock.slept, high, strict=True))


@pytest.mark.parametrize(
    ("when", "retried"),
    [
        (retry_if_exception_type((ConnectionError, TimeoutError)), [ConnectionResetError(), TimeoutError()]),
        (retry_if_not_exception_type(LookupError), [ValueError(), ConnectionResetError()]),
    ],
)
async def test_every_kind_of_condition(make: Make, when: retry_base, retried: list[Exception]) -> None:
    pipeline = make(when=when)
    for error in retried:
        calls = Calls(error)
        assert await pipeline.call(calls, idempotent=True) == "done"
        assert calls.count == 2
    calls = Calls(KeyError())
    with pytest.raises(KeyError):
        await pipeline.call(calls, idempotent=True)
    assert calls.count == 1


async def test_a_condition_of_your_own(make: Make) -> None:
    class OnThrottling(retry_base):
        def __call__(self, retry_state: RetryCallState) -> bool:
            error = retry_state.outcome.exception() if retry_state.outcome else None
            return isinstance(error, RateLimitError)

    calls = Calls(RateLimitError())
    assert await make(when=OnThrottling()).call(calls, idempotent=True) == "done"
