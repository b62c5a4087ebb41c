"""A circuit breaker for asyncio, on pybreaker's state machine.

pybreaker decides what follows from an outcome: how many failures open the circuit, how many successes close it. It has
no notion of asyncio, though, so it never runs the protected call. This adapter admits calls, lets them run without
holding a lock, and reports outcomes. In half-open one call at a time is admitted. An outcome that was under way while
the state changed belongs to a state that is gone, and is dropped. Cancellation is neither success nor failure.

With the circuit closed, a success changes nothing in the state machine, so nothing is locked and pybreaker not asked.
"""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import wraps
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction, isgeneratorfunction
from sys import maxsize
from typing import Any, ParamSpec, TypeVar, cast

import pybreaker

from ..errors.hierarchy import CircuitBreakerOpenError
from .events import BreakerAdded, BreakerChanged, Event, Events
from .window import OutcomeWindow

P = ParamSpec("P")
T = TypeVar("T")


class CircuitState(Enum):
    """The states, by the names that the outside knows."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


CLOSED, OPEN, HALF_OPEN = CircuitState

TRIAL_SECONDS = 1.0
"""What refused callers are told while a trial call is under way; how long it takes, nobody knows."""


class Verdict(Enum):
    """What an exception says about the health of what raised it."""

    FAILURE = "failure"
    SUCCESS = "success"
    NEITHER = "neither"


class _Storage(pybreaker.CircuitMemoryStorage):
    """pybreaker's memory, which also tells of each change."""

    def __init__(self, on_change: Callable[[CircuitState], None]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._on_change = on_change

    @property
    def state(self) -> str:
        """The state by pybreaker's name."""
        return super().state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        self._on_change(CircuitState(state.replace("-", "_")))


class _ReportedFailure(Exception):
    """Tells pybreaker of a failure; the exception itself would come back with its frames."""


def _succeed() -> None:
    pass


def _fail() -> None:
    raise _ReportedFailure


def every_exception(_: Exception) -> Verdict:
    """Count every exception as a failure."""
    return Verdict.FAILURE


class CircuitBreaker:
    """Refuses calls while its service is failing, and lets single ones through to see whether it has recovered.

    Args:
        name: of what is protected, as in `/health`.
        failure_threshold: failures in a row that open the circuit; without effect if `failure_ratio` is given.
        recovery_timeout: seconds from opening to the first trial call.
        success_threshold: trial calls in a row that must succeed to close it.
        failure_ratio: share of failures, above 0 and up to 1, that opens the circuit, over the last `window` seconds
            and from `minimum_calls` calls on.
        judge: what an exception counts as; cancellation counts neither way.
        events: learns of this breaker, and of every change of state after it is complete.
        clock: seconds that never jump.

    Attributes:
        state: the present one; `OPEN` lasts until a call comes after `trial_at`.
        trial_at: when the first trial call may come, by `clock`.
        epoch: a number that grows with each change of state.
        rejections: calls refused so far; an open circuit refuses many, so they are counted and not told one by one.
    """

    def __init__(
        self,
        name: str,
        *,
        failure_threshold: int = 5,
        recovery_timeout: float = 60.0,
        success_threshold: int = 2,
        failure_ratio: float | None = None,
        minimum_calls: int = 20,
        window: float = 10.0,
        judge: Callable[[Exception], Verdict] = every_exception,
        events: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.recovery_timeout = recovery_timeout
        self._failure_ratio = failure_ratio
        self._minimum_calls = minimum_calls
        self._judge = judge
        self._events = events or Events()
        self._clock = clock
        self._window = None if failure_ratio is None else OutcomeWindow(window, clock)
        self.state = CLOSED
        self.epoch = 0
        self.rejections = 0
        self.trial_at = clock()
        self._failures_at_opening = 0
        self._storage = _Storage(self._note_change)
        self._machine = pybreaker.CircuitBreaker(
            fail_max=failure_threshold if failure_ratio is None else maxsize,
            success_threshold=success_threshold,
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._probing = False
        self._lock = threading.Lock()
        self._events(BreakerAdded(name, lambda: self.rejections))

    @property
    def failure_count(self) -> int:
        """Failures in a row, or those in the window; while the circuit is not closed, those that opened it."""
        if self._window is None:
            return self._storage.counter
        return self._window.counts()[1] if self.state is CLOSED else self._failures_at_opening

    async def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `await function(…)`.

        Raises:
            CircuitBreakerOpenError: it was not called.
        """
        with self.guard():
            return await function(*args, **kwargs)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function, async or not.

        Raises:
            TypeError: it is a generator, which has not failed yet when it returns; use `guard` inside it.
        """
        if isasyncgenfunction(function) or isgeneratorfunction(function):
            raise TypeError(f"{function!r} is a generator: put `with breaker.guard():` inside it")
        if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004

            @wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self.guard():
                    return await cast(Callable[P, Awaitable[Any]], function)(*args, **kwargs)

            return cast(Callable[P, T], guarded_async)

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.guard():
                result = function(*args, **kwargs)
                if isawaitable(result):  # It has only begun, and how it ends would never be known here.
                    raise TypeError(f"{function!r} is not async, but returns something to await")
                return result

        return guarded

    @contextmanager
    def guard(self) -> Iterator[None]:
        """`with breaker.guard(): await …` protects a block; no lock is held inside.

        Raises:
            CircuitBreakerOpenError: the block was not entered.
        """
        epoch = self.admit()
        try:
            yield
        except BaseException as error:
            self.failed(epoch, error)
            raise
        self.succeeded(epoch)

    def refuses_for(self) -> float:
        """Seconds for which calls are refused; 0 if the next one would be admitted. Changes nothing."""
        if self.state is OPEN:
            seconds = self.trial_at - self._clock()
            return seconds if seconds > 0 else 0.0
        return TRIAL_SECONDS if self._probing else 0.0

    def admit(self) -> int:
        """Let a call begin; give what is returned back with its outcome, exactly once.

        Raises:
            CircuitBreakerOpenError: it must not begin.
        """
        epoch = self.epoch  # Before the state: if another thread changes it now, the outcome is dropped.
        if self.state is CLOSED:
            return epoch
        with self._changing():
            seconds = self.refuses_for()
            if seconds:
                self.rejections += 1
                raise CircuitBreakerOpenError(self.name, seconds)
            if self.state is OPEN:
                self._machine.half_open()
            self._probing = self.state is HALF_OPEN
            return self.epoch

    def succeeded(self, epoch: int) -> None:
        """The call admitted in `epoch` has succeeded."""
        if epoch != self.epoch:
            return
        if self.state is CLOSED:
            if self._window is not None:
                self._window.add_success()
                return
            if not self._storage.counter:
                return
        with self._changing():
            if epoch == self.epoch:
                self._probing = False
                self._report_success()

    def failed(self, epoch: int, error: BaseException) -> None:
        """The call admitted in `epoch` has raised `error`; whether that is a failure, `judge` says."""
        with self._changing():
            if epoch == self.epoch:
                self._probing = False
                verdict = self._judge(error) if isinstance(error, Exception) else Verdict.NEITHER
                if verdict is Verdict.FAILURE:
                    self._report_failure()
                elif verdict is Verdict.SUCCESS:
                    self._report_success()

    def undecided(self, epoch: int) -> None:
        """The call admitted in `epoch` is over, and tells nothing of what is protected."""
        with self._changing():
            if epoch == self.epoch:
                self._probing = False

    def open(self) -> None:
        """Open the circuit now, for an incident or a test."""
        with self._changing():
            self._machine.open()

    def close(self) -> None:
        """Close the circuit now."""
        with self._changing():
            self._machine.close()

    def _note_change(self, state: CircuitState) -> None:
        self.state = state
        self.epoch += 1
        self.trial_at = self._clock() + self.recovery_timeout

    def _report_success(self) -> None:
        if self._window is not None and self.state is CLOSED:
            self._window.add_success()
        else:
            self._machine.call(_succeed)

    def _report_failure(self) -> None:
        try:
            self._machine.call(_fail)
        except _ReportedFailure as report:
            # It holds on to the error that is being handled, and that one to its frames.
            report.__context__ = report.__traceback__ = None
        if self._window is None or self.state is not CLOSED:
            return
        self._window.add_failure()
        total, failures = self._window.counts()
        if total >= self._minimum_calls and failures >= (self._failure_ratio or 1.0) * total:
            self._machine.open()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock while the state may change, and tell of the change after it is complete and the lock is free."""
        change = None
        with self._lock:
            old, epoch = self.state, self.epoch
            yield
            new = self.state
            if self.epoch != epoch:
                if new is not HALF_OPEN:
                    self._probing = False
                if self._window is not None:
                    if old is CLOSED:
                        self._failures_at_opening = self._window.counts()[1]
                    if new is CLOSED:
                        self._window.clear()
                if new is not old:
                    change = BreakerChanged(self.name, old.value, new.value, self.failure_count)
        if change is not None:
            self._events(change)
