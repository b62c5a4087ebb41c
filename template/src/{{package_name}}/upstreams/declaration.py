"""What a service must say about an upstream, and nothing that can be derived from it."""

import re
from dataclasses import dataclass, field

from ..resilience.policy import Policy

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A remote service we call.

    Args:
        name: in snake_case; its address is read from `<NAME>_BASE_URL`.
        base_url: where it is in development; used as long as the environment names no other.
        policy: how calls are protected; what it leaves out is read from `ERROR_HANDLING_…`.

    Raises:
        ValueError: naming the argument that is wrong.
    """

    name: str
    base_url: str
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"Upstream name {self.name!r} must be in snake_case")
