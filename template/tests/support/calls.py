"""What a pipeline is given to call, and a policy to begin with."""

from typing import Any

from tenacity import wait_fixed

from tests.subject import DEFAULTS, Policy, ServiceUnavailableError

POLICY = Policy(
    total_timeout=30.0,
    attempt_timeout=10.0,
    max_retries=3,
    wait=wait_fixed(1),
    failure_threshold=5,
    recovery_timeout=60.0,
    success_threshold=1,
).over(DEFAULTS)


class Calls:
    """A function that fails as often as told, and then returns."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.count = 0

    async def __call__(self) -> Any:
        self.count += 1
        outcome = self.outcomes.pop(0) if self.outcomes else "done"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def down() -> ServiceUnavailableError:
    return ServiceUnavailableError("stock")
