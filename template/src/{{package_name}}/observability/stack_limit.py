"""Describe an error in full as long as that tells something new.

While a database is down, thousands of requests a second may fail alike. Their stacks, thousands of characters each, would
fill the disk and hold up the event loop, and say the same.
"""

import time
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any

from .exceptions import causes, describe_briefly, describe_exception

MOST_STACKS, SECONDS = 10, 60.0
"""So many errors of a kind are described in full in so many seconds."""

MOST_KINDS = 1_000
"""That are remembered; more of them are made up by code that makes classes, and must not fill the memory."""


class StackLimit:
    """Describes errors, and remembers how many of each kind there were of late.

    Of one kind are errors of the same classes that came by the same places in the code, and so did their causes. Whatever
    differs in any of that is described in full.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[Hashable, int] = {}
        self._until = clock() + SECONDS

    def describe(self, error: BaseException) -> dict[str, Any]:
        """What `describe_exception` gives, or `describe_briefly` and, as `repeated`, how many of its kind came before."""
        before = self._count(error)
        return describe_exception(error) if before < MOST_STACKS else describe_briefly(error) | {"repeated": before}

    def _count(self, error: BaseException) -> int:
        now = self._clock()
        if now >= self._until or len(self._counts) >= MOST_KINDS:
            self._counts.clear()
            self._until = now + SECONDS
        kind = tuple((type(one), _places(one.__traceback__)) for one in (error, *causes(error)))
        before = self._counts.get(kind, 0)
        self._counts[kind] = before + 1
        return before


def _places(traceback: TracebackType | None) -> frozenset[tuple[str, int, int]]:
    """Each once, so that a recursion is of the same kind however deep it went."""
    places = set()
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.add((code.co_filename, code.co_firstlineno, traceback.tb_lasti))
        traceback = traceback.tb_next
    return frozenset(places)
