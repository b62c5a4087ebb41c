"""The circuit breaker, state by state. What plain pybreaker gets wrong is in test_pybreaker_defects.py."""

import asyncio
import functools
import gc
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.subject import (
    BreakerChanged,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    Event,
    Events,
    ServiceUnavailableError,
    Verdict,
)
from tests.support.clock import Clock


@pytest.fixture
def breaker(clock: Clock, seen: list[Event]) -> CircuitBreaker:
    return CircuitBreaker(
        "stock", failure_threshold=3, recovery_timeout=30, success_threshold=2, clock=clock, events=seen.append
    )


async def good() -> str:
    return "good"


async def bad() -> str:
    raise ServiceUnavailableError("stock")


async def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(ServiceUnavailableError):
            await breaker.call(bad)


async def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    await fail(breaker, 2)
    assert await breaker.call(good) == "good"
    await fail(breaker, 2)
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 2)
    await fail(breaker)
    assert (breaker.state, breaker.failure_count) == (CircuitState.OPEN, 3)


async def test_open_refuses_and_says_when_to_come_back(breaker: CircuitBreaker, clock: Clock) -> None:
    await fail(breaker, 3)
    clock.pass_(12)
    with pytest.raises(CircuitBreakerOpenError) as refused:
        await breaker.call(good)
    assert refused.value.retry_after == pytest.approx(18)


async def test_a_trial_that_tells_nothing_makes_room_for_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    await fail(breaker, 3)
    clock.pass_(30)
    breaker.undecided(breaker.admit())
    assert breaker.state is CircuitState.HALF_OPEN
    assert await breaker.call(good) == "good"


async def test_trial_calls_close_it(breaker: CircuitBreaker, clock: Clock, seen: list[Event]) -> None:
    await fail(breaker, 3)
    clock.pass_(30)
    await breaker.call(good)
    assert breaker.state is CircuitState.HALF_OPEN
    await breaker.call(good)
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 0)
    assert seen[1:] == [
        BreakerChanged("stock", "closed", "open", 3),
        BreakerChanged("stock", "open", "half_open", 3),
        BreakerChanged("stock", "half_open", "closed", 0),
    ]


async def test_a_failed_trial_opens_it_for_the_whole_time_again(breaker: CircuitBreaker, clock: Clock) -> None:
    await fail(breaker, 3)
    clock.pass_(30)
    await breaker.call(good)
    await fail(breaker)
    clock.pass_(29.9)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(good)
    clock.pass_(0.1)
    assert await breaker.call(good) == "good"


async def test_one_trial_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    await fail(breaker, 3)
    clock.pass_(30)
    running, most = 0, 0

    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    results = await asyncio.gather(*(breaker.call(slow) for _ in range(100)), return_exceptions=True)
    assert most == 1
    assert sum(isinstance(result, CircuitBreakerOpenError) for result in results) == 99


async def test_a_cancelled_trial_makes_room_for_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    await fail(breaker, 3)
    clock.pass_(30)
    trial = asyncio.create_task(breaker.call(asyncio.sleep, 60))
    await asyncio.sleep(0)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert breaker.state is CircuitState.HALF_OPEN
    assert await breaker.call(good) == "good"


async def test_a_late_outcome_belongs_to_a_state_that_is_gone(breaker: CircuitBreaker, clock: Clock) -> None:
    late = [breaker.admit() for _ in range(4)]
    await fail(breaker, 3)
    breaker.failed(late[0], ServiceUnavailableError("stock"))
    clock.pass_(29)
    breaker.failed(late[1], ServiceUnavailableError("stock"))
    clock.pass_(1)
    trial = breaker.admit()
    breaker.succeeded(late[2])
    breaker.succeeded(late[3])
    assert breaker.state is CircuitState.HALF_OPEN
    with pytest.raises(CircuitBreakerOpenError):
        breaker.admit()
    breaker.failed(trial, ServiceUnavailableError("stock"))
    with pytest.raises(CircuitBreakerOpenError):
        breaker.admit()


async def test_what_is_no_failure_counts_neither_way(clock: Clock) -> None:
    breaker = CircuitBreaker(
        "stock",
        failure_threshold=2,
        success_threshold=1,
        judge=lambda error: Verdict.NEITHER if isinstance(error, KeyError) else Verdict.FAILURE,
        clock=clock,
    )

    async def missing() -> None:
        raise KeyError

    for call in (bad, missing, bad):
        with pytest.raises((KeyError, ServiceUnavailableError)):
            await breaker.call(call)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(good)
    clock.pass_(60)
    with pytest.raises(KeyError):
        await breaker.call(missing)
    assert breaker.state is CircuitState.HALF_OPEN
    assert await breaker.call(good) == "good"


async def test_an_exception_can_show_the_service_well(clock: Clock) -> None:
    breaker = CircuitBreaker(
        "stock", failure_threshold=2, success_threshold=2, judge=lambda error: Verdict.SUCCESS, clock=clock
    )
    breaker.open()
    clock.pass_(60)
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError):
            await breaker.call(bad)
    assert breaker.state is CircuitState.CLOSED


async def test_a_judge_that_fails_does_not_block_the_next_trial(clock: Clock) -> None:
    def judge(error: Exception) -> Verdict:
        raise RuntimeError("no verdict")

    breaker = CircuitBreaker("stock", judge=judge, clock=clock)
    breaker.open()
    clock.pass_(60)
    with pytest.raises(RuntimeError, match="no verdict"):
        await breaker.call(bad)
    assert await breaker.call(good) == "good"


async def test_a_subscriber_that_fails_breaks_no_call(clock: Clock) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("no disk")

    breaker = CircuitBreaker("stock", failure_threshold=1, clock=clock, events=Events({BreakerChanged: broken}))
    await fail(breaker)
    assert breaker.state is CircuitState.OPEN


async def test_a_subscriber_may_close_it_again(clock: Clock, seen: list[Event]) -> None:
    def close(event: Event) -> None:
        seen.append(event)
        if isinstance(event, BreakerChanged) and event.new == "open":
            one.close()

    one = CircuitBreaker("stock", failure_threshold=1, clock=clock, events=close)
    await fail(one)
    assert one.state is CircuitState.CLOSED
    one.close()
    assert [event.new for event in seen if isinstance(event, BreakerChanged)] == ["open", "closed"]


async def test_a_failure_leaves_nothing_for_the_garbage_collector(breaker: CircuitBreaker) -> None:
    class Tracked(ServiceUnavailableError):
        pass

    async def bad() -> None:
        raise Tracked("stock")

    gc.disable()
    try:
        for _ in range(3):
            with suppress(Tracked):
                await breaker.call(bad)
        assert not [one for one in gc.get_objects() if isinstance(one, Tracked)]
    finally:
        gc.enable()


async def test_a_share_of_failures_opens_it_from_enough_calls_on(clock: Clock) -> None:
    breaker = CircuitBreaker("stock", failure_ratio=0.5, minimum_calls=10, window=10, clock=clock)
    await fail(breaker, 9)
    assert breaker.state is CircuitState.CLOSED
    clock.pass_(11)
    for _ in range(6):
        await breaker.call(good)
    await fail(breaker, 5)
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 5)
    await fail(breaker)
    assert (breaker.state, breaker.failure_count) == (CircuitState.OPEN, 6)
    clock.pass_(60)
    assert breaker.failure_count == 6
    await breaker.call(good)
    await breaker.call(good)
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 0)


async def test_as_decorator_of_both_kinds_of_function(breaker: CircuitBreaker) -> None:
    @breaker
    def add(one: int, two: int) -> int:
        return one + two

    @breaker
    async def add_async(one: int, *, two: int) -> int:
        return one + two

    assert (add(1, 2), await add_async(1, two=2)) == (3, 3)
    assert add.__name__ == "add"
    breaker.open()
    with pytest.raises(CircuitBreakerOpenError):
        add(1, 2)
    with pytest.raises(CircuitBreakerOpenError):
        await add_async(1, two=2)
    breaker.close()
    assert add(1, 2) == 3


async def test_as_decorator_of_what_only_behaves_like_a_function(breaker: CircuitBreaker) -> None:
    class Call:
        async def __call__(self) -> None:
            await bad()

    for function in (Call(), functools.partial(bad)):
        with pytest.raises(ServiceUnavailableError):
            await breaker(function)()
    assert breaker.failure_count == 2


def test_what_has_only_begun_is_no_success(breaker: CircuitBreaker) -> None:
    async def numbers() -> None: ...

    begun = numbers()
    with pytest.raises(TypeError, match="not async"):
        _ = breaker(lambda: begun)()
    begun.close()
    assert breaker.failure_count == 1


def test_a_generator_is_no_call(breaker: CircuitBreaker) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        breaker(numbers)


async def test_refusals_are_counted(breaker: CircuitBreaker) -> None:
    breaker.open()
    for _ in range(3):
        with pytest.raises(CircuitBreakerOpenError):
            await breaker.call(good)
    assert breaker.rejections == 3


async def test_as_context_manager(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError), breaker.guard():
            await bad()
    with pytest.raises(CircuitBreakerOpenError), breaker.guard():
        pytest.fail("the block was entered")
