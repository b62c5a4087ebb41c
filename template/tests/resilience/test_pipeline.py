"""The pipeline: what is tried again, how often, in which order, and what is told of it."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

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
    BreakerChanged,
    CallFinished,
    CircuitBreakerOpenError,
    CircuitState,
    Deadline,
    ErrorClassifier,
    Event,
    NotFoundError,
    OperationTimeoutError,
    OverloadedError,
    Pipeline,
    Policy,
    RateLimitError,
    RetryBudgetExhausted,
    RetryScheduled,
    ServiceUnavailableError,
    current_deadline,
)
from tests.support.clock import Clock

POLICY = Policy(
    total_timeout=30.0,
    attempt_timeout=10.0,
    max_retries=3,
    wait=wait_fixed(1),
    failure_threshold=5,
    recovery_timeout=60.0,
    success_threshold=1,
).over(DEFAULTS)


class Calls:
    """A function that fails as often as told, and then returns."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.count = 0

    async def __call__(self) -> Any:
        self.count += 1
        outcome = self.outcomes.pop(0) if self.outcomes else "done"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def make(clock: Clock, seen: list[Event]) -> Callable[..., Pipeline]:
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


Make = Callable[..., Pipeline]


def down() -> ServiceUnavailableError:
    return ServiceUnavailableError("stock")


async def test_a_success_is_one_event(make: Make, seen: list[Event]) -> None:
    assert await make().call(Calls("done"), idempotent=True) == "done"
    assert seen == [CallFinished("stock", "success", 0.0, 1, 0.0)]


async def test_failures_are_retried_until_it_works(make: Make, clock: Clock, seen: list[Event]) -> None:
    calls = Calls(one := down(), two := down())
    assert await make().call(calls, idempotent=True) == "done"
    assert (calls.count, clock.slept) == (3, [1, 1])
    assert seen == [
        AttemptFailed("stock", 1, "service_unavailable"),
        RetryScheduled("stock", 1, 1.0, one),
        AttemptFailed("stock", 2, "service_unavailable"),
        RetryScheduled("stock", 2, 1.0, two),
        CallFinished("stock", "success", 2.0, 3, 2.0),
    ]


async def test_the_last_failure_reaches_the_caller(make: Make, seen: list[Event]) -> None:
    errors = [down() for _ in range(4)]
    calls = Calls(*errors)
    with pytest.raises(ServiceUnavailableError) as last:
        await make().call(calls, idempotent=True)
    assert last.value is errors[-1]
    assert calls.count == 4
    assert seen[-1] == CallFinished("stock", "service_unavailable", 3.0, 4, 3.0)


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


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("Product", "1"),
        RateLimitError(),
        OverloadedError(),
        CircuitBreakerOpenError("other"),
        ValueError("a bug"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_never_retried_and_never_opens_the_circuit(make: Make, error: BaseException) -> None:
    pipeline = make(failure_threshold=1)
    calls = Calls(error)
    with pytest.raises(type(error)):
        await pipeline.call(calls, idempotent=True)
    assert calls.count == 1
    assert pipeline.breaker is not None
    assert pipeline.breaker.state is CircuitState.CLOSED


async def test_a_policy_that_retries_everything_still_spares_refusals_and_cancellation(make: Make) -> None:
    pipeline = make(when=retry_if_not_exception_type(NotFoundError))
    for error in (asyncio.CancelledError(), CircuitBreakerOpenError("other"), OverloadedError()):
        calls = Calls(error)
        with pytest.raises(type(error)):
            await pipeline.call(calls, idempotent=True)
        assert calls.count == 1


async def test_the_circuit_opens_and_ends_the_retries(make: Make, clock: Clock, seen: list[Event]) -> None:
    pipeline = make(failure_threshold=2)
    calls = Calls(*(down() for _ in range(9)))
    with pytest.raises(ServiceUnavailableError):
        await pipeline.call(calls, idempotent=True)
    assert calls.count == 2
    assert clock.slept == [1]
    assert BreakerChanged("stock", "closed", "open", 2) in seen
    with pytest.raises(CircuitBreakerOpenError):
        await pipeline.call(calls, idempotent=True)
    assert calls.count == 2


async def test_calls_beside_a_trial_are_refused_and_are_no_calls(make: Make, clock: Clock, seen: list[Event]) -> None:
    pipeline = make()
    assert pipeline.breaker is not None
    pipeline.breaker.open()
    clock.pass_(60)
    done = asyncio.Event()
    trial = asyncio.create_task(pipeline.call(done.wait, idempotent=True))
    await asyncio.sleep(0)
    for _ in range(50):
        with pytest.raises(CircuitBreakerOpenError):
            await pipeline.call(Calls(), idempotent=True)
    done.set()
    assert await trial
    assert pipeline.breaker.rejections == 50
    assert len([event for event in seen if isinstance(event, CallFinished)]) == 1


async def test_without_a_breaker(make: Make) -> None:
    pipeline = make(breaker_enabled=False, failure_threshold=1)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError):
            await pipeline.call(Calls(*(down() for _ in range(9))), idempotent=True)


async def test_the_budget_ends_the_retries(make: Make, seen: list[Event]) -> None:
    pipeline = make(breaker_enabled=False)
    calls = Calls(*(down() for _ in range(20)))
    for _ in range(4):
        with pytest.raises(ServiceUnavailableError):
            await pipeline.call(calls, idempotent=True)
    assert calls.count == 4 + 3
    assert seen.count(RetryBudgetExhausted("stock")) == 3


async def test_the_full_bulkhead_refuses_before_anything_else(make: Make) -> None:
    pipeline = make(max_concurrency=1)
    release = asyncio.Event()
    first = asyncio.create_task(pipeline.call(release.wait, idempotent=True))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await pipeline.call(Calls(), idempotent=True)
    release.set()
    assert await first
    assert pipeline.bulkhead.in_use == 0


async def test_a_wait_that_would_outlast_the_total_timeout_is_not_begun(make: Make, clock: Clock) -> None:
    calls = Calls(*(down() for _ in range(9)))
    with pytest.raises(ServiceUnavailableError):
        await make(total_timeout=2.5, attempt_timeout=1.0).call(calls, idempotent=True)
    assert (calls.count, clock.slept) == (3, [1, 1])


async def test_what_the_other_side_asks_for_goes_before_the_wait(make: Make, clock: Clock) -> None:
    await make(retry_after=7.0).call(Calls(down()), idempotent=True)
    await make(retry_after=0.5).call(Calls(down()), idempotent=True)
    assert clock.slept == [8.0, 1.5]


async def test_an_attempt_that_hangs_is_a_failure_and_is_retried(make: Make) -> None:
    pipeline = make(attempt_timeout=0.02, failure_threshold=2, wait=wait_fixed(0))
    with pytest.raises(OperationTimeoutError):
        await pipeline.call(lambda: asyncio.sleep(5), idempotent=True)
    assert pipeline.breaker is not None
    assert pipeline.breaker.failure_count == 2


async def test_the_deadline_of_the_request_bounds_any_composition(make: Make) -> None:
    token = current_deadline.set(Deadline.after(0.05))
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(OperationTimeoutError):
        await make(max_retries=0).call(lambda: asyncio.sleep(5), idempotent=True)
    assert loop.time() - begin < 1
    current_deadline.reset(token)


async def test_without_any_time_left_the_upstream_is_not_asked_and_not_blamed(make: Make) -> None:
    pipeline = make(failure_threshold=1)
    token = current_deadline.set(Deadline.after(0))
    calls = Calls()
    with pytest.raises(OperationTimeoutError):
        await pipeline.call(calls, idempotent=True)
    current_deadline.reset(token)
    assert calls.count == 0
    assert pipeline.breaker is not None
    assert pipeline.breaker.state is CircuitState.CLOSED


async def test_statistics_of_concurrent_calls_do_not_mix(make: Make, seen: list[Event]) -> None:
    pipeline = make(failure_threshold=100)
    pipeline.budget.calls += 100
    outcomes = [[down() for _ in range(number % 3)] for number in range(9)]
    await asyncio.gather(*(pipeline.call(Calls(*errors), idempotent=True) for errors in outcomes))
    attempts = sorted(event.attempts for event in seen if isinstance(event, CallFinished))
    assert attempts == [1, 1, 1, 2, 2, 2, 3, 3, 3]


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


@pytest.mark.parametrize("errors", [1, 2, 9])
async def test_failures_leave_nothing_for_the_garbage_collector(make: Make, seen: list[Event], errors: int) -> None:
    class Tracked(ServiceUnavailableError):
        pass

    left = errors

    async def bad() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Tracked("stock")

    pipeline = make(failure_threshold=100)
    gc.collect()
    gc.disable()
    try:
        for idempotent in (True, False):
            left = errors
            with suppress(Tracked):
                await pipeline.call(bad, idempotent=idempotent)
            seen.clear()
        assert not [one for one in gc.get_objects() if isinstance(one, Tracked)]
    finally:
        gc.enable()


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


async def test_nothing_leaks_after_random_cancellation(make: Make) -> None:
    pipeline = make(failure_threshold=10_000, wait=wait_fixed(0), max_concurrency=1000)
    before = asyncio.all_tasks()

    async def work(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns % 3 == 0:
            raise down()

    tasks = [
        asyncio.create_task(pipeline.call(lambda turns=number % 7: work(turns), idempotent=True))  # type: ignore[misc]
        for number in range(1000)
    ]
    for turn in range(10):
        await asyncio.sleep(0)
        for task in tasks[turn::10]:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(result, asyncio.CancelledError) for result in results)
    assert pipeline.bulkhead.in_use == 0
    assert asyncio.all_tasks() == before
