"""Bound an operation in time, whatever it waits for.

The limit is the smaller one of what is asked for and what the request has left. Cancellation from outside always
passes as cancellation: only the expiry of the limit becomes an OperationTimeoutError.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from ..errors.hierarchy import OperationTimeoutError
from .deadline import time_left

P = ParamSpec("P")
T = TypeVar("T")


class time_limit:
    """`with time_limit("report", 30): await …` ends the block after that many seconds.

    Args:
        operation: named in the error.
        seconds: the limit; what the request has left if that is less.

    Raises:
        OperationTimeoutError: the time is over.
    """

    __slots__ = ("_cancelling", "_handle", "_task", "expired", "operation", "seconds")

    _handle: asyncio.TimerHandle

    def __init__(self, operation: str, seconds: float) -> None:
        self.operation = operation
        self.seconds = time_left(seconds)

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._begin(loop)
        self._handle = loop.call_later(self.seconds, self.expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self.expired:
            self._raise(error)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("A time limit needs a running task")
        self._task = task
        self._cancelling = task.cancelling()
        self.expired = False

    def _raise(self, error: BaseException | None) -> None:
        # Still cancelled beyond our own cancellation: somebody outside wants the task to end, and that goes first.
        if self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise OperationTimeoutError(self.operation, self.seconds) from error

    def expire(self) -> None:
        """The time is over."""
        self.expired = True
        self._task.cancel()


async def with_timeout(
    awaitable: Awaitable[T],
    timeout: float,  # noqa: ASYNC109 - to wait with a timeout is what it is for
    timeout_error: Exception | None = None,
) -> T:
    """The result of `awaitable`, or `timeout_error` after `timeout` seconds.

    Raises:
        OperationTimeoutError: the time is over and no `timeout_error` was given.
    """
    limit = time_limit(getattr(awaitable, "__qualname__", "operation"), timeout)
    try:
        with limit:
            return await awaitable
    except OperationTimeoutError as error:
        if timeout_error is None or not limit.expired:  # It may be that of something inside.
            raise
        raise timeout_error from error


def timeout(seconds: float) -> Callable[[Callable[P, Any]], Callable[P, Coroutine[Any, Any, Any]]]:
    """Decorate a function to end after `seconds`.

    A function that is not async becomes one that runs in a worker thread. A thread cannot be stopped: after the timeout
    the caller goes on, and the function does too until it returns, in one of the few threads there are.

    Raises:
        OperationTimeoutError: from the decorated function.
    """

    def decorate(function: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Any]]:
        name = getattr(function, "__qualname__", "operation")

        @wraps(function)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> Any:
            with time_limit(name, seconds):
                if inspect.iscoroutinefunction(function):
                    return await function(*args, **kwargs)
                return await asyncio.to_thread(function, *args, **kwargs)

        return limited

    return decorate
