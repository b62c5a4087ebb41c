"""Try again, with tenacity, what has failed for a passing reason.

The first attempt is a plain call: tenacity starts with the first failure, which costs a successful call nothing. Each
call has an object of its own, for a shared one mixes up the statistics of concurrent calls.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from ..errors.hierarchy import CircuitBreakerOpenError, OverloadedError
from .budget import RetryBudget
from .events import BAD_RESULT, AttemptFailed, Event, RetryBudgetExhausted, RetryScheduled

T = TypeVar("T")

LEAST_TIME = 0.01
"""Seconds an attempt needs to have a chance."""

NEVER = (CircuitBreakerOpenError, OverloadedError)
"""Refusals of our own: trying again defeats their purpose. Cancellation is no Exception and is never retried either."""


@dataclass(slots=True)
class Statistics:
    """Of one call: `attempts` with the first one, and `waited` seconds between them."""

    attempts: int = 1
    waited: float = 0.0


class Retrier:
    """Retries calls of one upstream.

    Args:
        name: in events.
        stop, wait, when: tenacity's own objects, in any combination.
        budget: what retries are paid from.
        retry_after: reads from an exception how many seconds the other side asks us to wait.
        refused: whether another attempt would not even be made; then there is nothing to wait for.
        events: learns of each retry.
        sleep: waits for some seconds.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        name: str,
        *,
        stop: stop_base,
        wait: wait_base,
        when: retry_base,
        budget: RetryBudget,
        retry_after: Callable[[BaseException], float | None],
        refused: Callable[[], bool] = lambda: False,
        events: Callable[[Event], None],
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._stop = stop
        self._when = when
        self._budget = budget
        self._refused = refused
        self._events = events
        self._clock = clock
        self._base = AsyncRetrying(sleep=sleep, wait=_WithRetryAfter(wait, retry_after), reraise=True)

    def wants(self, outcome: "Outcome") -> bool:
        """Whether `outcome` is one to retry, as far as its kind goes."""
        return self._wants(outcome.state())

    async def go_on(
        self,
        first: "Outcome",
        attempt: Callable[[], Awaitable[T]],
        *,
        begin: float,
        deadline: float,
        statistics: Statistics,
    ) -> T:
        """Continue after the `first` outcome with further attempts, from `begin` until `deadline` on the clock.

        Returns:
            The first result that is not to be retried; else what the last attempt returned or raised.
        """
        last: RetryCallState | None = None

        async def next_attempt() -> Any:
            if last is None:
                return first.replay()
            statistics.attempts += 1
            return await attempt()

        def wants(state: RetryCallState) -> bool:
            nonlocal last
            last = state
            return self._wants(state)

        def stop(state: RetryCallState) -> bool:
            # tenacity has not seen the first attempt, and knows no clock but the real one.
            state.start_time, state.outcome_timestamp = begin, self._clock()
            # In this order: a retry that cannot happen must not be paid.
            if self._stop(state) or self._clock() + state.upcoming_sleep + LEAST_TIME >= deadline or self._refused():
                return True
            if self._budget.spend():
                return False
            self._events(RetryBudgetExhausted(self._name))
            return True

        def announce(state: RetryCallState) -> None:
            statistics.waited += state.upcoming_sleep
            error = _error_of(state)
            if error is None:
                self._events(AttemptFailed(self._name, state.attempt_number, BAD_RESULT))
            self._events(RetryScheduled(self._name, state.attempt_number, state.upcoming_sleep, error))

        retrying = self._base.copy(stop=stop, retry=wants, before_sleep=announce, retry_error_callback=_last_outcome)
        try:
            result: T = await retrying(next_attempt)
        finally:
            if last is not None:
                last.outcome = None  # Or what is raised would hold on to itself, through tenacity's frame.
        return result

    def _wants(self, state: RetryCallState) -> bool:
        error = _error_of(state)
        if error is not None and (not isinstance(error, Exception) or isinstance(error, NEVER)):
            return False
        return self._when(state)


class Outcome:
    """What the first attempt has returned or raised; good for one replay."""

    def __init__(self, result: Any = None, error: Exception | None = None) -> None:
        self._result = result
        self._error = error

    def replay(self) -> Any:
        """Return or raise it again."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error

    def state(self) -> RetryCallState:
        """As tenacity sees it."""
        state = RetryCallState(AsyncRetrying(), None, (), {})
        if self._error is None:
            state.set_result(self._result)
        else:
            state.set_exception((type(self._error), self._error, None))
        return state


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _last_outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt
    return state.outcome.result()


class _WithRetryAfter(wait_base):
    """What the other side asks for, and then what the policy says: all who were told the same must not come together."""

    def __init__(self, wait: wait_base, retry_after: Callable[[BaseException], float | None]) -> None:
        self._wait = wait
        self._retry_after = retry_after

    def __call__(self, retry_state: RetryCallState) -> float:
        error = _error_of(retry_state)
        asked = None if error is None else self._retry_after(error)
        return float(self._wait(retry_state)) + (asked or 0.0)
