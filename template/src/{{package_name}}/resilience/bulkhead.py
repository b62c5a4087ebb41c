"""Limit how much of this process one upstream can occupy."""

from types import TracebackType
from typing import Self

from ..errors.hierarchy import OverloadedError


class Bulkhead:
    """At most `limit` calls at once; one more is refused at once rather than queued, which would only hide the overload.

    Args:
        name: of what is protected.
        limit: calls at the same time.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.in_use = 0

    def __enter__(self) -> Self:
        if self.in_use >= self.limit:
            raise OverloadedError(f"All {self.limit} places for {self.name} are taken")
        self.in_use += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.in_use -= 1
