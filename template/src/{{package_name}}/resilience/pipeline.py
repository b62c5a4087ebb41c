"""The order in which the parts protect a call, from the outside in:

    TotalTimeout(Bulkhead(Retry[budget](CircuitBreaker(AttemptTimeout(call)))))

and `Fallback(…)` around it where a caller has a substitute (fallback.py, substitutes.py). The attempt timeout is inside the breaker, for
a call that hangs is a failure. The breaker is inside the retry, which therefore ends as soon as the circuit opens. The
total timeout needs no timer of its own: an attempt gets what is left of it, and a wait that would outlast it is not begun.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import RetryCallState, retry_if_exception

from ..errors.classification import ErrorCategory, ErrorClassifier
from ..errors.hierarchy import OperationTimeoutError, OverloadedError
from ..errors.recovery import RecoverySelector, RecoveryStrategy
from .breaker import CLOSED, TRIAL_SECONDS, CircuitBreaker, Verdict
from .budget import RetryBudget
from .bulkhead import Bulkhead
from .deadline import caller_gave_up, time_left
from .events import SUCCESS, AttemptFailed, CallFinished, CallRetried, Event
from .policy import Policy
from .retry import Retrier, call_state, set_failure
from .shared_timeout import SharedTimeout

T = TypeVar("T")

OF_BREAKER = {"failure_threshold", "failure_ratio", "minimum_calls", "window", "recovery_timeout", "success_threshold"}
"""What a policy says of the circuit breaker; whatever it leaves out has a default there."""


class Pipeline:
    """Protects the calls of one upstream; shared by all of them.

    Args:
        name: of the upstream, in events and errors.
        policy: complete.
        classifier: tells what kind of failure an exception is.
        events: learns of what happens.
        retry_after: reads from an exception how many seconds the other side asks us to wait.
        answered: whether an exception is an answer of the other side that shows it well, though it is no success.
        clock: seconds that never jump.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        *,
        classifier: ErrorClassifier,
        events: Callable[[Event], None],
        retry_after: Callable[[BaseException], float | None] = lambda _: None,
        answered: Callable[[Exception], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if policy.total_timeout is None or policy.attempt_timeout is None or policy.max_concurrency is None:
            raise ValueError("A pipeline needs a policy with total_timeout, attempt_timeout and max_concurrency")
        self.name = name
        self.total_timeout = policy.total_timeout
        self.attempt_timeout = policy.attempt_timeout
        self._attempt_limit = SharedTimeout(name, policy.attempt_timeout)
        self._classifier = classifier
        self._selector = RecoverySelector()
        self._events = events
        self._answered = answered
        self._clock = clock
        self.bulkhead = Bulkhead(name, policy.max_concurrency)
        self.budget = RetryBudget(policy.retry_budget or 0.0, clock=clock)
        self.breaker: CircuitBreaker | None = None
        if policy.breaker_enabled:
            said = policy.model_dump(include=OF_BREAKER, exclude_none=True)
            self.breaker = CircuitBreaker(name, judge=self._judge, events=events, clock=clock, **said)
        self._judges_results = policy.when is not None
        self._retrier = Retrier(
            name=name,
            stop=policy.stop_condition(),
            wait=policy.wait_strategy(),
            when=policy.when or retry_if_exception(self._is_passing),
            budget=self.budget,
            retry_after=retry_after,
            refused=lambda: self.breaker is not None and self.breaker.refuses_for() > 0,
            events=events,
            sleep=sleep,
            clock=clock,
        )

    async def call(self, function: Callable[[], Awaitable[T]], *, idempotent: bool) -> T:
        """The result of `await function()`, tried again where that is safe and may help.

        Args:
            function: one attempt.
            idempotent: whether doing it twice is as good as once; only then may it be retried.

        Raises:
            OperationTimeoutError: an attempt took too long.
            CircuitBreakerOpenError: the circuit is open.
            OverloadedError: too many calls are under way.
            Exception: whatever `function` raised last.
        """
        breaker = self.breaker
        if (
            breaker is not None
            and breaker.state is not CLOSED
            and (seconds := breaker.refuses_for() or self._no_trial_for())
        ):
            raise breaker.refuse(seconds)
        begin = self._clock()
        remaining = time_left(self.total_timeout)
        retried = None
        try:
            self.bulkhead.enter()
        except OverloadedError as error:
            self._finish(self._outcome(error), begin, None)
            raise
        try:
            self.budget.calls += 1
            try:
                result = await self._attempt(function, remaining, 1)
                if not (self._judges_results and idempotent):
                    self._events(CallFinished(self.name, SUCCESS, self._clock() - begin))
                    return result
                retried = call_state(begin)
                retried.set_result(result)
            except Exception as error:
                if not idempotent:
                    raise
                retried = call_state(begin)
                set_failure(retried, error)
            result = await self._retry(function, retried, begin + remaining)
        except BaseException as error:
            self._finish(self._outcome(error), begin, retried)
            raise
        finally:
            self.bulkhead.leave()
        self._finish(SUCCESS, begin, retried)
        return result

    async def _retry(self, function: Callable[[], Awaitable[T]], state: RetryCallState, deadline: float) -> T:
        # Not in `call`: variables that a lambda shares make every call slower.
        return await self._retrier.go_on(
            state, lambda number: self._attempt(function, deadline - self._clock(), number), deadline
        )

    async def _attempt(self, function: Callable[[], Awaitable[T]], remaining: float, number: int) -> T:
        if remaining <= 0:  # Not the upstream's failure: it was not even asked.
            raise OperationTimeoutError(self.name, self.total_timeout)
        breaker = self.breaker
        epoch = 0 if breaker is None else breaker.admit()
        try:
            with self._attempt_limit.limit(remaining):
                result = await function()
        except BaseException as error:
            if breaker is not None:
                breaker.failed(epoch, error)
            self._events(AttemptFailed(self.name, number, self._outcome(error)))
            raise
        if breaker is not None:
            breaker.succeeded(epoch)
        return result

    def _no_trial_for(self) -> float:
        """A trial with too little time would tell nothing, and keep out one that could."""
        return TRIAL_SECONDS if time_left(self.attempt_timeout) < self.attempt_timeout / 2 else 0.0

    def _finish(self, outcome: str, begin: float, retried: RetryCallState | None) -> None:
        self._events(CallFinished(self.name, outcome, self._clock() - begin))
        if retried is not None and retried.attempt_number > 1:
            self._events(CallRetried(self.name, outcome, retried.attempt_number, retried.idle_for))

    def _outcome(self, error: BaseException) -> str:
        """The category of the error in a word."""
        if not isinstance(error, Exception):
            return "cancelled"
        return self._classifier.verdict(error).category.value

    def _is_passing(self, error: BaseException) -> bool:
        return self._selector.select_strategy(self._classifier.verdict(error)) is RecoveryStrategy.RETRY

    def _judge(self, error: Exception) -> Verdict:
        """What the breaker counts: that it asks us to slow down, or that we have a bug, tells nothing of its health."""
        if self._answered(error):
            return Verdict.SUCCESS
        if caller_gave_up(self.attempt_timeout):
            return Verdict.NEITHER
        verdict = self._classifier.verdict(error)
        if verdict.category is ErrorCategory.RATE_LIMIT:
            return Verdict.NEITHER
        strategy = self._selector.select_strategy(verdict)
        if strategy is RecoveryStrategy.RETRY or strategy is RecoveryStrategy.CIRCUIT_BREAKER:
            return Verdict.FAILURE
        return Verdict.NEITHER
