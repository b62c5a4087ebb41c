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
from .events import Event, RetryBudgetExhausted, RetryScheduled

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
        self._base = AsyncRetrying(sleep=sleep, wait=_AtLeastRetryAfter(wait, retry_after), reraise=True)

    def wants(self, state: RetryCallState) -> bool:
        """Whether the outcome in `state` is one to retry, as far as its kind goes."""
        error = state.outcome.exception() if state.outcome else None
        if error is not None and (not isinstance(error, Exception) or isinstance(error, NEVER)):
            return False
        return self._when(state)

    async def go_on(
        self, first: "Outcome", attempt: Callable[[], Awaitable[T]], *, deadline: float, statistics: Statistics
    ) -> T:
        """Continue after the `first` outcome with further attempts, until `deadline` on the clock.

        Returns:
            The first result that is not to be retried; else what the last attempt returned or raised.
        """
        given = False

        async def next_attempt() -> Any:
            nonlocal given
            if not given:
                given = True
                return first.replay()
            statistics.attempts += 1
            return await attempt()

        def announce(state: RetryCallState) -> None:
            statistics.waited += state.upcoming_sleep
            error = state.outcome.exception() if state.outcome else None
            self._events(RetryScheduled(self._name, state.attempt_number, state.upcoming_sleep, error))

        def stop(state: RetryCallState) -> bool:
            # In this order: a retry that cannot happen must not be paid.
            if self._stop(state) or self._clock() + state.upcoming_sleep + LEAST_TIME >= deadline or self._refused():
                return True
            if self._budget.spend():
                return False
            self._events(RetryBudgetExhausted(self._name))
            return True

        retrying = self._base.copy(
            stop=stop, retry=self.wants, before_sleep=announce, retry_error_callback=_last_outcome
        )
        result: T = await retrying(next_attempt)
        return result


class Outcome:
    """What the first attempt has returned or raised."""

    def __init__(self, result: Any = None, error: Exception | None = None) -> None:
        self._result = result
        self._error = error

    def replay(self) -> Any:
        """Return or raise it again."""
        if self._error is not None:
            raise self._error
        return self._result

    def state(self) -> RetryCallState:
        """As tenacity sees it."""
        state = RetryCallState(AsyncRetrying(), None, (), {})
        if self._error is None:
            state.set_result(self._result)
        else:
            state.set_exception((type(self._error), self._error, None))
        return state


def _last_outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt
    return state.outcome.result()


class _AtLeastRetryAfter(wait_base):
    """What the policy says, or what the other side asks for if that is longer."""

    def __init__(self, wait: wait_base, retry_after: Callable[[BaseException], float | None]) -> None:
        self._wait = wait
        self._retry_after = retry_after

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = None if error is None else self._retry_after(error)
        return max(float(self._wait(retry_state)), asked or 0.0)
