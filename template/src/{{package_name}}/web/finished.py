"""Requests that are over, handed on some at a time.

Whoever observes them does so for many in one go, which costs a fraction for each, and costs it after the answers are out.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import NamedTuple

from ..observability.context import trace_id_of, traceparent
from .exchange import Exchange

DELAY_SECONDS = 0.05
"""How late a line or a number may be, and what a process that is killed takes with it."""

LONGEST_PATH = 500

log = logging.getLogger(__name__)


class FinishedRequest(NamedTuple):
    """What is left of a request: a few plain values, for what it held on to must not outlive it.

    Args:
        ended_at: seconds of the epoch.
        duration: seconds from arrival to the end.
        trace_id: of the trace it was a part of.
        path: its first `LONGEST_PATH` characters, without the query: that may hold tokens.
        route: the template of the matched route, or `unmatched`.
        status: the HTTP status sent; 0 if none was.
        complete: whether the answer was sent to its end.
    """

    ended_at: float
    duration: float
    request_id: str
    trace_id: str | None
    method: str
    path: str
    route: str
    status: int
    complete: bool


RequestObserver = Callable[[Sequence[FinishedRequest]], None]


class FinishedRequests:
    """Collects requests, and hands them on before long.

    Args:
        observers: called with those that are over since the last time; one that fails stops no other.

    Attributes:
        waiting: those that are over and not handed on.
        ended: whether the service has; a request that is cut off then may end after everything else.
    """

    def __init__(self, observers: Sequence[RequestObserver]) -> None:
        self._observers = observers
        self.waiting: list[FinishedRequest] = []
        self.ended = False
        self._armed_in: asyncio.AbstractEventLoop | None = None

    def add(self, exchange: Exchange, duration: float) -> None:
        """A request is over, after `duration` seconds."""
        parent = traceparent.get()
        self.waiting.append(
            FinishedRequest(
                time.time(),
                duration,
                exchange.request_id,
                None if parent is None else trace_id_of(parent),
                exchange.method,
                exchange.scope["path"][:LONGEST_PATH],
                exchange.route,
                exchange.status,
                exchange.complete,
            )
        )
        if self.ended:
            self.hand_on()
            return
        loop = asyncio.get_running_loop()
        if self._armed_in is not loop:
            self._armed_in = loop
            loop.call_later(DELAY_SECONDS, self.hand_on, context=Context())

    @contextmanager
    def until_the_end(self) -> Iterator[None]:
        """Around the life of the service: nothing waits for a timer that nobody will see."""
        self.ended = False
        try:
            yield
        finally:
            self.ended = True
            self.hand_on()

    def hand_on(self) -> None:
        """Do it now: before somebody reads what was observed, and at the end."""
        self._armed_in = None
        finished, self.waiting = self.waiting, []
        for observe in self._observers:
            try:
                observe(finished)
            except Exception:  # A full disk behind the log, for one: the others count all the same.
                log.exception("an observer of requests failed")
