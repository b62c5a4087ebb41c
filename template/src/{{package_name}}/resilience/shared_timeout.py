"""Bound many operations, each with the same time limit, for a fraction of what a timer for each costs.

Limits of one length end in the order in which they began. So they wait in a queue, and one timer of the event loop, set
for the first of them, serves all (the idea of timing wheels: Varghese and Lauck, 1987). Most are over long before.
"""

import asyncio
from collections import deque
from contextvars import Context
from types import TracebackType
from typing import Any, Self

from ..errors.hierarchy import OperationTimeoutError


class SharedTimeout:
    """`with shared_timeout.limit(remaining): await …` ends the block after `seconds`, or `remaining` if that is less.

    Args:
        operation: named in the error.
        seconds: the limit of every block.
    """

    def __init__(self, operation: str, seconds: float) -> None:
        self.operation = operation
        self.seconds = seconds
        self.queue: deque[Limit] = deque()
        self.armed_in: asyncio.AbstractEventLoop | None = None

    def limit(self, remaining: float) -> "Limit":
        """The limit for one block.

        Raises:
            OperationTimeoutError: from the block, when the time is over.
        """
        return Limit(self, remaining)

    def arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer for the head of the queue; called when there is none, or one of a loop that is closed."""
        self.armed_in = loop
        # In a context of its own: that of a request would be kept for as long as there is a next one.
        loop.call_at(self.queue[0].ends_at, self._expire, loop, context=Context())

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        queue = self.queue
        while queue and (queue[0].finished or queue[0].ends_at <= loop.time()):
            queue.popleft().expire()
        if queue:
            self.arm(loop)
        else:
            self.armed_in = None


class Limit:
    """A block's own; it calls as little as possible, for every request and every attempt comes here."""

    __slots__ = ("_cancelling", "_expired", "_remaining", "_shared", "_task", "_timer", "ends_at", "finished")

    ends_at: float

    def __init__(self, shared: SharedTimeout, remaining: float) -> None:
        self._shared = shared
        self._remaining = remaining
        self._timer: asyncio.TimerHandle | None = None
        self._expired = self.finished = False

    def __enter__(self) -> Self:
        shared = self._shared
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any] = asyncio.current_task(loop)  # type: ignore[assignment]
        self._task = task
        self._cancelling = task.cancelling()
        armed_in = shared.armed_in
        # It may end before those that wait in the queue, or the queue is that of a loop in another thread.
        elsewhere = armed_in is not loop and armed_in is not None and not armed_in.is_closed()
        if elsewhere or self._remaining < shared.seconds:
            self._timer = loop.call_later(min(self._remaining, shared.seconds), self.expire, context=Context())
            return self
        self.ends_at = loop.time() + shared.seconds
        if armed_in is not loop:
            shared.queue.clear()
            shared.queue.append(self)
            shared.arm(loop)
        else:
            shared.queue.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finished = True
        task = self._task
        del self._task  # A slow one at the head of the queue would keep it, and all that it knows.
        if self._timer is not None:
            self._timer.cancel()
        else:
            queue = self._shared.queue
            while queue and queue[0].finished:
                queue.popleft()
        # Still cancelled beyond our own cancellation: somebody outside wants the task to end, and that goes first.
        if self._expired and task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            seconds = min(self._remaining, self._shared.seconds)
            raise OperationTimeoutError(self._shared.operation, seconds) from error

    def lift(self) -> None:
        """Let the block take as long as it likes."""
        self.finished = True

    def expire(self) -> None:
        """The time is over."""
        if not self.finished:
            self._expired = True
            self._task.cancel()
