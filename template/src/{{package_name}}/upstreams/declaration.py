"""What a service must say about an upstream, and nothing that can be derived from it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A remote service we call.

    Args:
        name: in snake_case; its address is read from `<NAME>_BASE_URL`.
        base_url: where it is in development; used as long as the environment names no other.
        total_timeout: seconds for a whole call, body included; `ERROR_HANDLING_DEFAULT_TIMEOUT` when omitted.

    Raises:
        ValueError: naming the argument that is wrong.
    """

    name: str
    base_url: str
    total_timeout: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"Upstream name {self.name!r} must be in snake_case")
        if self.total_timeout is not None and self.total_timeout <= 0:
            raise ValueError(f"total_timeout of upstream {self.name} must be above zero")


def base_urls(upstreams: Iterable[Upstream]) -> dict[str, str]:
    """Where each of `upstreams` is, by its name, as long as the environment does not say otherwise."""
    return {upstream.name: upstream.base_url for upstream in upstreams}
