"""What is said about one upstream's resilience, in layers.

A declaration in code, the environment for all upstreams, and the environment for one all say only what they mean to say;
`Policy.over` puts one layer over another. What comes out complete is checked as a whole.
"""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from tenacity import retry_base, stop_after_attempt, stop_never, wait_random_exponential
from tenacity.asyncio.retry import async_retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

LONGEST_WAIT = 60.0
"""Seconds of backoff, whatever the exponent."""


def _not_async(condition: retry_base) -> retry_base:
    if isinstance(condition, async_retry_base):
        raise ValueError("must not be one of tenacity's async conditions")
    return condition


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
"""In snake_case: it becomes a part of the names of variables and labels."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Policy(BaseModel):
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
        stale_if_error: seconds that the last good answer to the same question may stand in for a new one; 0 for never. For
            clients that ask by `connection.stale.call`.
        breaker_enabled: False lets every call through.
        failure_threshold, failure_ratio, minimum_calls, window, recovery_timeout, success_threshold: of the circuit
            breaker (breaker.py).

    Raises:
        ValidationError: naming each field that is wrong; a ValueError.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True)

    total_timeout: Seconds | None = None
    attempt_timeout: Seconds | None = None
    max_retries: Annotated[int, Field(ge=0)] | None = None
    retry_delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    retry_backoff_multiplier: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    stop: stop_base | None = None
    wait: wait_base | None = None
    when: Annotated[retry_base, AfterValidator(_not_async)] | None = None
    retry_budget: Annotated[float, Field(ge=0, le=1)] | None = None
    max_concurrency: Count | None = None
    stale_if_error: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    breaker_enabled: bool | None = None
    failure_threshold: Count | None = None
    failure_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    minimum_calls: Count | None = None
    window: Seconds | None = None
    recovery_timeout: Seconds | None = None
    success_threshold: Count | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        attempt, total = self.attempt_timeout, self.total_timeout
        if attempt is not None and total is not None and attempt > total:
            raise ValueError(f"attempt_timeout ({attempt:g} s) must not exceed total_timeout ({total:g} s)")
        return self

    def over(self, below: "Policy") -> Self:
        """This policy where it says something, and `below` where it does not.

        An inherited attempt timeout is clamped to the total one. Inherited retries do not limit a declared `stop`. A
        number of failures in a row replaces an inherited ratio, which would leave it without effect.
        """
        values = dict(below) | {name: own for name, own in self if own is not None}
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


DEFAULTS = Policy(retry_budget=0.1, max_concurrency=100, stale_if_error=0.0, breaker_enabled=True)
"""What nobody has to say."""
