"""The pipeline: in which order its parts protect a call, and what is told of it."""

import asyncio
import gc
import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from tenacity import (
    wait_fixed,
)

from tests.subject import (
    AttemptFailed,
    BreakerChanged,
    CallFinished,
    CallRetried,
    CircuitBreakerOpenError,
    CircuitState,
    Deadline,
    Event,
    NotFoundError,
    OperationTimeoutError,
    OverloadedError,
    Pipeline,
    RateLimitError,
    RetryScheduled,
    ServiceUnavailableError,
    current_deadline,
)
from tests.support.calls import Calls, down
from tests.support.clock import Clock

Make = Callable[..., Pipeline]


async def test_a_success_is_one_event(make: Make, seen: list[Event]) -> None:
    assert await make().call(Calls("done"), idempotent=True) == "done"
    assert seen == [CallFinished("stock", "success", 0.0)]


async def test_failures_are_retried_until_it_works(make: Make, clock: Clock, seen: list[Event]) -> None:
    calls = Calls(one := down(), two := down())
    assert await make().call(calls, idempotent=True) == "done"
    assert (calls.count, clock.slept) == (3, [1, 1])
    assert seen == [
        AttemptFailed("stock", 1, "service_unavailable"),
        RetryScheduled("stock", 1, 1.0, one),
        AttemptFailed("stock", 2, "service_unavailable"),
        RetryScheduled("stock", 2, 1.0, two),
        CallFinished("stock", "success", 2.0),
        CallRetried("stock", "success", 3, 2.0),
    ]


async def test_the_last_failure_reaches_the_caller(make: Make, seen: list[Event]) -> None:
    errors = [down() for _ in range(4)]
    calls = Calls(*errors)
    with pytest.raises(ServiceUnavailableError) as last:
        await make().call(calls, idempotent=True)
    assert last.value is errors[-1]
    assert calls.count == 4
    assert seen[-2:] == [
        CallFinished("stock", "service_unavailable", 3.0),
        CallRetried("stock", "service_unavailable", 4, 3.0),
    ]


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


async def test_a_cancelled_attempt_is_counted_as_what_it_is(make: Make, seen: list[Event]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await make().call(Calls(asyncio.CancelledError()), idempotent=True)
    assert seen == [AttemptFailed("stock", 1, "cancelled"), CallFinished("stock", "cancelled", 0.0)]


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


@pytest.mark.parametrize(
    ("caller_waits", "attempt_timeout", "failures"),
    [(math.inf, 10.0, 1), (0.02, 10.0, 0), (0.02, 0.05, 0), (0.02, 0.03, 1)],
)
async def test_a_caller_that_gives_too_little_time_speaks_against_nobody(
    make: Make, caller_waits: float, attempt_timeout: float, failures: int
) -> None:
    pipeline = make(max_retries=0, attempt_timeout=attempt_timeout)
    token = current_deadline.set(Deadline.after(0.02, caller_waits=caller_waits))
    with pytest.raises(OperationTimeoutError):
        await pipeline.call(lambda: asyncio.sleep(5), idempotent=True)
    current_deadline.reset(token)
    assert pipeline.breaker is not None
    assert pipeline.breaker.failure_count == failures


@pytest.mark.parametrize("caller_waits", [math.inf, 0.1])
async def test_what_gets_the_rest_of_the_time_that_others_took_is_not_to_blame(make: Make, caller_waits: float) -> None:
    pipeline = make(max_retries=0, attempt_timeout=0.1)
    token = current_deadline.set(Deadline.after(0.1, caller_waits=caller_waits))
    await asyncio.sleep(0.08)
    with pytest.raises(OperationTimeoutError):
        await pipeline.call(lambda: asyncio.sleep(5), idempotent=True)
    current_deadline.reset(token)
    assert pipeline.breaker is not None
    assert pipeline.breaker.failure_count == 0


async def test_a_retry_in_the_last_moment_is_not_to_blame(make: Make, clock: Clock) -> None:
    pipeline = make(total_timeout=0.14, attempt_timeout=0.1, max_retries=1, wait=wait_fixed(0))

    async def hang() -> None:
        clock.pass_(0.1)
        await asyncio.sleep(5)

    with pytest.raises(OperationTimeoutError):
        await pipeline.call(hang, idempotent=True)
    assert pipeline.breaker is not None
    assert pipeline.breaker.failure_count == 1


async def test_what_fails_within_the_time_of_a_caller_is_to_blame(make: Make) -> None:
    pipeline = make(max_retries=0)
    token = current_deadline.set(Deadline.after(4, caller_waits=4))
    with pytest.raises(ServiceUnavailableError):
        await pipeline.call(Calls(down()), idempotent=True)
    current_deadline.reset(token)
    assert pipeline.breaker is not None
    assert pipeline.breaker.failure_count == 1


async def test_a_trial_has_the_time_it_needs(make: Make, clock: Clock) -> None:
    pipeline = make(attempt_timeout=2.0, success_threshold=1)
    assert pipeline.breaker is not None
    pipeline.breaker.open()
    clock.pass_(60)
    token = current_deadline.set(Deadline.after(0.9))
    with pytest.raises(CircuitBreakerOpenError):
        await pipeline.call(Calls(), idempotent=True)
    current_deadline.reset(token)
    assert pipeline.breaker.state is CircuitState.OPEN
    assert await pipeline.call(Calls(), idempotent=True) == "done"


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
