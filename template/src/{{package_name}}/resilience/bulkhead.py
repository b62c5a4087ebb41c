"""Limit how much of this process one upstream can occupy."""

from ..errors.hierarchy import OverloadedError


class Bulkhead:
    """At most `limit` calls at once; one more is refused at once rather than queued, which would only hide the overload.

    Args:
        name: of what is protected.
        limit: calls at the same time.

    Attributes:
        in_use: places taken.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.in_use = 0

    def enter(self) -> None:
        """Take a place; `leave` gives it back.

        Raises:
            OverloadedError: there is none.
        """
        if self.in_use >= self.limit:
            raise OverloadedError(f"All {self.limit} places for {self.name} are taken")
        self.in_use += 1

    def leave(self) -> None:
        """Give a place back."""
        self.in_use -= 1
