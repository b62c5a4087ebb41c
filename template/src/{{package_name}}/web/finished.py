"""Requests that are over, handed on some at a time.

Whoever observes them does so for many in one go, which costs a fraction for each, and costs it after the answers are out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .exchange import Exchange

DELAY_SECONDS = 0.05
"""How late a line or a number may be, and what a process that is killed takes with it."""

LONGEST_PATH = 500


class FinishedRequest(NamedTuple):
    """What is left of a request: a few plain values, for what it held on to must not outlive it.

    Args:
        ended_at: seconds of the epoch.
        duration: seconds from arrival to the end.
        path: its first `LONGEST_PATH` characters, without the query: that may hold tokens.
        route: the template of the matched route, or `unmatched`.
        status: the HTTP status sent; 0 if none was.
        complete: whether the answer was sent to its end.
    """

    ended_at: float
    duration: float
    request_id: str
    method: str
    path: str
    route: str
    status: int
    complete: bool


RequestObserver = Callable[[Sequence[FinishedRequest]], None]


class FinishedRequests:
    """Collects requests, and hands them on before long.

    Args:
        observers: called with those that are over since the last time; they must not raise.

    Attributes:
        waiting: those that are over and not handed on.
    """

    def __init__(self, observers: Sequence[RequestObserver]) -> None:
        self._observers = observers
        self.waiting: list[FinishedRequest] = []
        self._armed_in: asyncio.AbstractEventLoop | None = None

    def add(self, exchange: Exchange, duration: float) -> None:
        """A request is over, after `duration` seconds."""
        self.waiting.append(
            FinishedRequest(
                time.time(),
                duration,
                exchange.request_id,
                exchange.method,
                exchange.scope["path"][:LONGEST_PATH],
                exchange.route,
                exchange.status,
                exchange.complete,
            )
        )
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
