"""What goes wrong with plain pybreaker under asyncio, and does not here; docs/resilience.md has the table.

Each scenario holds for our breaker and fails for pybreaker used as its documentation says, so that it shows when
pybreaker learns better.
"""

import abc
import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pybreaker
import pytest

from tests.subject import BreakerChanged, CircuitBreaker, CircuitBreakerOpenError, Event, Events, Verdict
from tests.support.clock import Clock

REFUSED = (CircuitBreakerOpenError, pybreaker.CircuitBreakerError)


class Abstract(abc.ABC, Exception):
    """An exception with a metaclass of its own."""


class Subject(abc.ABC):
    """A breaker that opens after 3 failures and tries again after 30 seconds; `KeyError` counts for nothing."""

    @abc.abstractmethod
    def guard(self) -> Any: ...

    @abc.abstractmethod
    def decorate(self, function: Callable[..., Any]) -> Callable[..., Any]: ...

    @abc.abstractmethod
    def state(self) -> str: ...

    @abc.abstractmethod
    def open(self) -> None: ...

    @abc.abstractmethod
    def pass_(self, seconds: float) -> None: ...


class Ours(Subject):
    def __init__(self, *, listener: Callable[[], None] = lambda: None, ignored: type[Exception] = KeyError) -> None:
        self.clock = Clock()
        self.breaker = CircuitBreaker(
            "ours",
            failure_threshold=3,
            recovery_timeout=30,
            success_threshold=1,
            judge=lambda error: Verdict.NEITHER if isinstance(error, ignored) else Verdict.FAILURE,
            events=Events({BreakerChanged: self._tell}),
            clock=self.clock,
        )
        self.listener = listener

    def _tell(self, event: Event) -> None:
        self.listener()

    def guard(self) -> Any:
        return self.breaker.guard()

    def decorate(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.breaker(function)

    def state(self) -> str:
        return self.breaker.state.value

    def open(self) -> None:
        self.breaker.open()

    def pass_(self, seconds: float) -> None:
        self.clock.pass_(seconds)


class Plain(Subject):
    def __init__(self, *, listener: Callable[[], None] = lambda: None, ignored: type[Exception] = KeyError) -> None:
        class Listener(pybreaker.CircuitBreakerListener):
            def state_change(self, *_: object) -> None:
                listener()

        self.storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self.breaker = pybreaker.CircuitBreaker(
            fail_max=3,
            reset_timeout=30,
            success_threshold=1,
            exclude=[ignored],
            listeners=[Listener()],
            state_storage=self.storage,
            throw_new_error_on_trip=False,
        )

    def guard(self) -> Any:
        return self.breaker.calling()

    def decorate(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.breaker(function)

    def state(self) -> str:
        return self.breaker.current_state.replace("-", "_")

    def open(self) -> None:
        self.breaker.open()

    def pass_(self, seconds: float) -> None:
        if self.storage.opened_at is not None:
            self.storage.opened_at -= timedelta(seconds=seconds)


Make = Callable[..., Subject]


def fail(subject: Subject, error: Exception, times: int = 1) -> None:
    for _ in range(times):
        with suppress(type(error)), subject.guard():
            raise error


def opened(make: Make) -> Subject:
    subject = make()
    fail(subject, OSError(), 3)
    assert subject.state() == "open"
    return subject


@contextmanager
def held(subject: Subject) -> Iterator[Any]:
    """A call that has begun, to be ended with `throw` or `exit`."""
    guard = subject.guard()
    guard.__enter__()
    yield guard


def end(guard: Any, error: BaseException | None = None) -> None:
    with suppress(BaseException):
        guard.__exit__(type(error) if error else None, error, None)


async def a_decorated_coroutine_that_fails_counts(make: Make) -> None:
    subject = make()

    async def bad() -> None:
        raise OSError

    guarded = subject.decorate(bad)
    for _ in range(3):
        with suppress(OSError):
            await guarded()
    assert subject.state() == "open"


async def no_lock_is_held_while_a_call_runs(make: Make) -> None:
    subject = make()
    inside = threading.Event()
    together = threading.Barrier(2, timeout=0.3)

    def wait() -> None:
        inside.set()
        together.wait()

    guarded = subject.decorate(wait)
    await asyncio.gather(asyncio.to_thread(guarded), asyncio.to_thread(guarded))


async def one_call_at_a_time_is_tried_in_half_open(make: Make) -> None:
    subject = opened(make)
    subject.pass_(30)
    running = most = 0

    async def call() -> None:
        nonlocal running, most
        with suppress(*REFUSED), subject.guard():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(call() for _ in range(100)))
    assert most == 1


async def a_late_failure_does_not_extend_the_pause(make: Make) -> None:
    subject = make()
    with held(subject) as late:
        fail(subject, OSError(), 3)
        subject.pass_(29)
        end(late, OSError())
        subject.pass_(1)
        with subject.guard():
            pass
    assert subject.state() == "closed"


async def a_late_trial_does_not_close_what_has_opened_again(make: Make) -> None:
    subject = opened(make)
    subject.pass_(30)
    with held(subject) as trial:
        subject.open()
        end(trial)
    assert subject.state() == "open"


async def cancellation_is_no_failure(make: Make) -> None:
    subject = make()
    for _ in range(3):
        with suppress(asyncio.CancelledError, *REFUSED), subject.guard():
            raise asyncio.CancelledError
    assert subject.state() == "closed"


async def what_does_not_count_is_no_success_either(make: Make) -> None:
    subject = make()
    fail(subject, OSError(), 2)
    fail(subject, KeyError())
    fail(subject, OSError())
    assert subject.state() == "open"


async def a_class_that_does_not_count_may_have_a_metaclass(make: Make) -> None:
    subject = make(ignored=Abstract)
    fail(subject, OSError(), 3)
    assert subject.state() == "open"


async def a_listener_that_fails_does_not_reach_the_caller(make: Make) -> None:
    def listener() -> None:
        raise RuntimeError("no disk")

    subject = make(listener=listener)
    fail(subject, OSError(), 3)


async def stop_iteration_is_an_error_like_any_other(make: Make) -> None:
    subject = make()
    with pytest.raises(StopIteration), subject.guard():
        next(iter(()))


SCENARIOS: list[Callable[[Make], Awaitable[None]]] = [
    a_decorated_coroutine_that_fails_counts,
    no_lock_is_held_while_a_call_runs,
    one_call_at_a_time_is_tried_in_half_open,
    a_late_failure_does_not_extend_the_pause,
    a_late_trial_does_not_close_what_has_opened_again,
    cancellation_is_no_failure,
    what_does_not_count_is_no_success_either,
    a_class_that_does_not_count_may_have_a_metaclass,
    a_listener_that_fails_does_not_reach_the_caller,
    stop_iteration_is_an_error_like_any_other,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_ours(scenario: Callable[[Make], Awaitable[None]]) -> None:
    await scenario(Ours)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_pybreaker_alone(scenario: Callable[[Make], Awaitable[None]]) -> None:
    with pytest.raises((AssertionError, threading.BrokenBarrierError, RuntimeError, pytest.fail.Exception, *REFUSED)):
        await scenario(Plain)
