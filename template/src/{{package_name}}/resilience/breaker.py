"""A circuit breaker for asyncio, on pybreaker's state machine.

pybreaker decides what follows from an outcome: how many failures open the circuit, how many successes close it. It has
no notion of asyncio, though, so it never runs the protected call. This adapter admits calls, lets them run without
holding a lock, and reports outcomes. In half-open one call at a time is admitted. An outcome that was under way while
the state changed belongs to a state that is gone, and is dropped. Cancellation is neither success nor failure.
"""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import wraps
from inspect import iscoroutinefunction
from sys import maxsize
from typing import Any, ParamSpec, TypeVar, cast

import pybreaker

from ..errors.hierarchy import CircuitBreakerOpenError
from .events import BreakerChanged, Event, Events
from .window import OutcomeWindow

P = ParamSpec("P")
T = TypeVar("T")


class CircuitState(Enum):
    """The states, by the names that the outside knows."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_STATES = {
    pybreaker.STATE_CLOSED: CircuitState.CLOSED,
    pybreaker.STATE_OPEN: CircuitState.OPEN,
    pybreaker.STATE_HALF_OPEN: CircuitState.HALF_OPEN,
}


class _Storage(pybreaker.CircuitMemoryStorage):
    """pybreaker's memory, which also numbers the states: `epoch` grows with each change, `since` tells when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._clock = clock
        self.current = CircuitState.CLOSED
        self.epoch = 0
        self.since = clock()

    @property
    def state(self) -> str:
        """The state by pybreaker's name."""
        return super().state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        self.current = _STATES[state]
        self.epoch += 1
        self.since = self._clock()


class _ReportedFailure(Exception):
    """Tells pybreaker of a failure; the exception itself would come back with its frames."""


def _succeed() -> None:
    pass


def _fail() -> None:
    raise _ReportedFailure


def every_exception(_: Exception) -> bool:
    """Count every exception as a failure."""
    return True


class CircuitBreaker:
    """Refuses calls while its service is failing, and lets single ones through to see whether it has recovered.

    Args:
        name: of what is protected, as in `/health`.
        failure_threshold: failures in a row that open the circuit; without effect if `failure_ratio` is given.
        recovery_timeout: seconds from opening to the first trial call.
        success_threshold: trial calls in a row that must succeed to close it.
        failure_ratio: share of failures, above 0 and up to 1, that opens the circuit, over the last `window` seconds
            and from `minimum_calls` calls on.
        is_failure: which exceptions count; all others, like cancellation, count neither way.
        events: learns of every change of state, after it is complete.
        clock: seconds that never jump.
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
        is_failure: Callable[[Exception], bool] = every_exception,
        events: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.recovery_timeout = recovery_timeout
        self._failure_ratio = failure_ratio
        self._minimum_calls = minimum_calls
        self._is_failure = is_failure
        self._events = events or Events()
        self._clock = clock
        self._window = None if failure_ratio is None else OutcomeWindow(window, clock)
        self._storage = _Storage(clock)
        self._machine = pybreaker.CircuitBreaker(
            fail_max=failure_threshold if failure_ratio is None else maxsize,
            success_threshold=success_threshold,
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._probing = False
        self._lock = threading.Lock()

    @property
    def state(self) -> CircuitState:
        """The present state. `OPEN` lasts until a call comes after `recovery_timeout`."""
        return self._storage.current

    @property
    def failure_count(self) -> int:
        """Failures in a row, or those in the window."""
        return self._storage.counter if self._window is None else self._window.counts()[1]

    async def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `await function(…)`.

        Raises:
            CircuitBreakerOpenError: it was not called.
        """
        with self.guard():
            return await function(*args, **kwargs)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function, async or not."""
        if iscoroutinefunction(function):

            @wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self.guard():
                    return await function(*args, **kwargs)

            return cast(Callable[P, T], guarded_async)

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.guard():
                return function(*args, **kwargs)

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
        except Exception as error:
            self.failed(epoch, error)
            raise
        except BaseException:
            self.abandoned(epoch)
            raise
        self.succeeded(epoch)

    def refuse(self) -> CircuitBreakerOpenError | None:
        """What to raise while the circuit is open, or a trial call is under way; else None. Changes nothing."""
        if self._storage.current is CircuitState.CLOSED:
            return None
        if self._storage.current is CircuitState.HALF_OPEN:
            return CircuitBreakerOpenError(self.name, retry_after=1.0) if self._probing else None
        waiting = self._storage.since + self.recovery_timeout - self._clock()
        return CircuitBreakerOpenError(self.name, retry_after=waiting) if waiting > 0 else None

    def admit(self) -> int:
        """Let a call begin; give what is returned back with its outcome, exactly once.

        Raises:
            CircuitBreakerOpenError: it must not begin.
        """
        epoch = self._storage.epoch  # Before the state: if another thread changes it now, the outcome is dropped.
        if self._storage.current is CircuitState.CLOSED:
            return epoch
        with self._changing():
            if refusal := self.refuse():
                raise refusal
            if self._storage.current is CircuitState.OPEN:
                self._machine.half_open()
            self._probing = self._storage.current is CircuitState.HALF_OPEN
            return self._storage.epoch

    def succeeded(self, epoch: int) -> None:
        """The call admitted in `epoch` has succeeded."""
        storage = self._storage
        if epoch != storage.epoch:
            return
        if storage.current is CircuitState.CLOSED:
            if self._window is not None:
                self._window.add(failed=False)
                return
            if not storage.counter:
                return
        with self._changing():
            if epoch == storage.epoch:
                self._probing = False
                self._machine.call(_succeed)

    def failed(self, epoch: int, error: Exception) -> None:
        """The call admitted in `epoch` has raised `error`."""
        with self._changing():
            if epoch == self._storage.epoch:
                self._probing = False
                if self._is_failure(error):
                    self._report_failure()

    def abandoned(self, epoch: int) -> None:
        """The call admitted in `epoch` was cancelled."""
        with self._lock:
            if epoch == self._storage.epoch:
                self._probing = False

    def open(self) -> None:
        """Open the circuit now, for an incident or a test."""
        with self._changing():
            self._machine.open()

    def close(self) -> None:
        """Close the circuit now."""
        with self._changing():
            self._machine.close()

    def _report_failure(self) -> None:
        try:
            self._machine.call(_fail)
        except _ReportedFailure as report:
            # It holds on to the error that is being handled, and that one to its frames.
            report.__context__ = report.__traceback__ = None
        if self._window is None or self._storage.current is not CircuitState.CLOSED:
            return
        self._window.add(failed=True)
        total, failures = self._window.counts()
        if total >= self._minimum_calls and failures >= (self._failure_ratio or 1.0) * total:
            self._machine.open()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock while the state may change, and tell of the change after it is complete and the lock is free."""
        change = None
        with self._lock:
            old, epoch = self._storage.current, self._storage.epoch
            yield
            new = self._storage.current
            if self._storage.epoch != epoch:
                if new is not CircuitState.HALF_OPEN:
                    self._probing = False
                if self._window is not None and new is CircuitState.CLOSED:
                    self._window.clear()
                if new is not old:
                    change = BreakerChanged(self.name, old.value, new.value, self.failure_count)
        if change is not None:
            self._events(change)
