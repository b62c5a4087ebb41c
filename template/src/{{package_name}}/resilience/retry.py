"""Try again, with tenacity, what has failed for a passing reason.

The first attempt is a plain call: tenacity gets its outcome and decides what follows, which costs a successful call
nothing. Each call has an object of tenacity's of its own, for a shared one mixes up concurrent calls.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from tenacity import AsyncRetrying, DoSleep, RetryCallState, retry_base
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


@dataclass(frozen=True, slots=True, kw_only=True)
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

    name: str
    stop: stop_base
    wait: wait_base
    when: retry_base
    budget: RetryBudget
    retry_after: Callable[[BaseException], float | None]
    refused: Callable[[], bool]
    events: Callable[[Event], None]
    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]

    async def go_on(self, state: RetryCallState, attempt: Callable[[int], Awaitable[T]], deadline: float) -> T:
        """Continue after a first attempt, until `deadline` on the clock.

        Args:
            state: holds the outcome of the first attempt; afterwards `attempt_number` and `idle_for`, the seconds
                between attempts, are the statistics of the call.
            attempt: gets its number.

        Returns:
            The first result that is not to be retried; else what the last attempt returned or raised.
        """

        def stop(state: RetryCallState) -> bool:
            state.outcome_timestamp = self.clock()  # tenacity knows no clock but the real one.
            # In this order: a retry that cannot happen must not be paid.
            if self.stop(state) or self.clock() + state.upcoming_sleep + LEAST_TIME >= deadline or self.refused():
                return True
            if self.budget.spend():
                return False
            self.events(RetryBudgetExhausted(self.name))
            return True

        retrying = AsyncRetrying(
            stop=stop,
            wait=self._wait,
            retry=self._wants,
            before_sleep=self._announce,
            retry_error_callback=_last_outcome,
        )
        retrying.begin()
        try:
            result: Any
            while isinstance(result := await retrying.iter(state), DoSleep):
                await self.sleep(result)
                if self.refused():  # The circuit has opened meanwhile.
                    return cast(T, _last_outcome(state))
                state.prepare_for_next_attempt()
                try:
                    state.set_result(await attempt(state.attempt_number))
                except Exception as error:  # noqa: BLE001 - tenacity decides what becomes of it
                    set_failure(state, error)
            return cast(T, result)
        finally:
            state.outcome = None  # Or what is raised would hold on to itself, through this frame.

    def _wants(self, state: RetryCallState) -> bool:
        return not isinstance(_error_of(state), NEVER) and self.when(state)

    def _wait(self, state: RetryCallState) -> float:
        """What the other side asks for, and then what the policy says: all who were told the same must not come together."""
        error = _error_of(state)
        asked = None if error is None else self.retry_after(error)
        return float(self.wait(state)) + (asked or 0.0)

    def _announce(self, state: RetryCallState) -> None:
        error = _error_of(state)
        if error is None:
            self.events(AttemptFailed(self.name, state.attempt_number, BAD_RESULT))
        self.events(RetryScheduled(self.name, state.attempt_number, state.upcoming_sleep, error))


def call_state(begin: float) -> RetryCallState:
    """tenacity's account of a call that began at `begin` on the clock."""
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.start_time = begin
    return state


def set_failure(state: RetryCallState, error: Exception) -> None:
    """Let `state` have the outcome that an attempt has raised `error`."""
    state.set_exception((type(error), error, error.__traceback__))


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _last_outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt
    return state.outcome.result()
