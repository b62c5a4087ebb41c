"""Describe an error in full as long as that tells something new.

While a database is down, thousands of requests a second may fail alike. Their stacks, thousands of characters each, would
fill the disk and hold up the event loop, and say the same.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

from .exceptions import describe_exception

MOST_STACKS, SECONDS = 10, 60.0
"""So many errors of a kind are described in full in so many seconds."""

MOST_KINDS = 1_000
"""That are remembered; more of them come of code that makes classes, and must not fill the memory."""


class StackLimit:
    """Describes errors, and remembers how many of each kind there were of late.

    Of one kind are errors of the same class that came by the same lines of code, and whose causes did. Whatever differs in
    any of that is described in full.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[Hashable, int] = {}
        self._until = clock() + SECONDS

    def describe(self, error: BaseException) -> dict[str, Any]:
        """What `describe_exception` gives; of an error that is told often enough, the innermost frame and no causes, and
        as `repeated` how many of its kind came before.
        """
        described = describe_exception(error)
        before = self._count(_kind(described))
        if before < MOST_STACKS:
            return described
        return {**described, "stack": described["stack"][-1:], "causes": [], "repeated": before}

    def _count(self, kind: Hashable) -> int:
        now = self._clock()
        if now >= self._until or len(self._counts) >= MOST_KINDS:
            self._counts.clear()
            self._until = now + SECONDS
        before = self._counts.get(kind, 0)
        self._counts[kind] = before + 1
        return before


def _kind(described: Mapping[str, Any]) -> Hashable:
    """Each line counts once, so that a recursion is of the same kind however deep it went."""
    return tuple([(one["type"], _each_once(one["stack"])) for one in (described, *described["causes"])])


_each_once = lru_cache(maxsize=MOST_KINDS)(frozenset[str])
