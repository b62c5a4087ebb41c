"""Requests that are over, handed on some at a time.

Whoever observes them does so for many in one go, which costs a fraction for each, and costs it after the answers are out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from .exchange import Exchange

DELAY_SECONDS = 0.05
"""How late a line or a number may be, and what a process that is killed takes with it."""

RequestObserver = Callable[[Sequence[Exchange]], None]


class FinishedRequests:
    """Collects requests, and hands them on before long.

    Args:
        observers: called with those that are over since the last time; they must not raise.

    Attributes:
        waiting: those that are over and not handed on.
    """

    def __init__(self, observers: Sequence[RequestObserver]) -> None:
        self._observers = observers
        self.waiting: list[Exchange] = []
        self._armed_in: asyncio.AbstractEventLoop | None = None

    def add(self, exchange: Exchange) -> None:
        """A request is over."""
        exchange.ended_at = time.time()
        self.waiting.append(exchange)
        loop = asyncio.get_running_loop()
        if self._armed_in is not loop:
            self._armed_in = loop
            loop.call_later(DELAY_SECONDS, self.hand_on)

    def hand_on(self) -> None:
        """Do it now: before somebody reads what was observed, and at the end."""
        self._armed_in = None
        finished, self.waiting = self.waiting, []
        for observe in self._observers:
            observe(finished)
