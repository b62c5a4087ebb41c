"""What is said about one upstream's resilience, in layers.

A declaration in code, the environment for all upstreams, and the environment for one all say only what they mean to say;
`Policy.over` puts one layer over another. What comes out complete is checked as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

from tenacity import retry_base, stop_after_attempt, stop_never, wait_random_exponential
from tenacity.asyncio.retry import async_retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

LONGEST_WAIT = 60.0
"""Seconds of backoff, whatever the exponent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How calls of an upstream are protected; None leaves the decision to the layer below.

    Args:
        total_timeout: seconds for a whole call, with all attempts and the waits between them.
        attempt_timeout: seconds for one attempt, the body included.
        max_retries: attempts after the first one. It is one more reason to stop beside a declared `stop`.
        retry_delay: seconds; the first wait is random up to this, without a declared `wait`.
        retry_backoff_multiplier: how much longer each further wait may be.
        stop, wait, when: tenacity's own objects; `when` decides which exceptions or results are retried.
        retry_budget: retries as a share of the calls.
        max_concurrency: calls at the same time.
        stale_if_error: seconds that the last good answer to the same question may stand in for a new one; 0 for never.
        breaker_enabled: False lets every call through.
        failure_threshold, failure_ratio, minimum_calls, window, recovery_timeout, success_threshold: of the circuit
            breaker (breaker.py).
    """

    total_timeout: float | None = None
    attempt_timeout: float | None = None
    max_retries: int | None = None
    retry_delay: float | None = None
    retry_backoff_multiplier: float | None = None
    stop: stop_base | None = None
    wait: wait_base | None = None
    when: retry_base | None = None
    retry_budget: float | None = None
    max_concurrency: int | None = None
    stale_if_error: float | None = None
    breaker_enabled: bool | None = None
    failure_threshold: int | None = None
    failure_ratio: float | None = None
    minimum_calls: int | None = None
    window: float | None = None
    recovery_timeout: float | None = None
    success_threshold: int | None = None

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))

    def over(self, below: "Policy") -> Self:
        """This policy where it says something, and `below` where it does not.

        An inherited attempt timeout is clamped to the total one. Inherited retries do not limit a declared `stop`. A
        number of failures in a row replaces an inherited ratio, which would leave it without effect.
        """
        values = {
            field.name: own if (own := getattr(self, field.name)) is not None else getattr(below, field.name)
            for field in fields(self)
        }
        if self.failure_threshold is not None and self.failure_ratio is None:
            values["failure_ratio"] = None
        if self.stop is not None:
            values["max_retries"] = self.max_retries
        if self.attempt_timeout is None and below.attempt_timeout is not None and values["total_timeout"] is not None:
            values["attempt_timeout"] = min(below.attempt_timeout, values["total_timeout"])
        return type(self)(**values)

    def stop_condition(self) -> stop_base:
        """When there are no more attempts: the declared condition, or the number, or either."""
        by_number = None if self.max_retries is None else stop_after_attempt(self.max_retries + 1)
        if self.stop is None:
            return by_number or stop_never
        return self.stop if by_number is None else self.stop | by_number

    def wait_strategy(self) -> wait_base:
        """How long to wait: as declared, or exponentially longer with full jitter."""
        return self.wait or wait_random_exponential(
            multiplier=self.retry_delay or 0.0, exp_base=self.retry_backoff_multiplier or 1.0, max=LONGEST_WAIT
        )

    def of_breaker(self) -> dict[str, Any]:
        """What is said of the circuit breaker, as arguments for it."""
        names = (
            "failure_threshold",
            "failure_ratio",
            "minimum_calls",
            "window",
            "recovery_timeout",
            "success_threshold",
        )
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _problems(self) -> Iterator[str]:
        for name in ("total_timeout", "attempt_timeout", "window", "recovery_timeout"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                yield f"{name} must be a number of seconds above zero"
        for name in ("max_concurrency", "failure_threshold", "minimum_calls", "success_threshold"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                yield f"{name} must be a whole number, 1 or more"
        if self.max_retries is not None and not isinstance(self.max_retries, int):
            yield "max_retries must be a whole number"
        for name in ("max_retries", "retry_delay", "retry_budget", "stale_if_error"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                yield f"{name} must be 0 or more"
        if self.retry_backoff_multiplier is not None and not 1 <= self.retry_backoff_multiplier < float("inf"):
            yield "retry_backoff_multiplier must be 1 or more"
        if self.retry_budget is not None and self.retry_budget > 1:
            yield "retry_budget must be at most 1, which is a retry for each call"
        if self.failure_ratio is not None and not 0 < self.failure_ratio <= 1:
            yield "failure_ratio must be above 0 and at most 1"
        for name, kind in (("stop", stop_base), ("wait", wait_base), ("when", retry_base)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, async_retry_base)):
                yield f"{name} must be an object of tenacity, such as those made by {name}_… or retry_if_…, and not async"
        if None not in (self.attempt_timeout, self.total_timeout) and self.attempt_timeout > self.total_timeout:  # type: ignore[operator]
            yield f"attempt_timeout ({self.attempt_timeout:g} s) must not exceed total_timeout ({self.total_timeout:g} s)"


DEFAULTS = Policy(retry_budget=0.1, max_concurrency=100, stale_if_error=0.0, breaker_enabled=True)
"""What nobody has to say."""
