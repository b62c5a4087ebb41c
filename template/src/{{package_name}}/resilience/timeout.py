"""Bound an operation in time, whatever it waits for.

The limit is the smaller one of what is asked for and what the request has left. Cancellation from outside always
passes as cancellation: only the expiry of the limit becomes an OperationTimeoutError.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload

from ..errors.hierarchy import OperationTimeoutError
from .deadline import time_left

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def time_limit(operation: str, seconds: float, timeout_error: Exception | None = None) -> AsyncIterator[None]:
    """`async with time_limit("report", 30): …` ends the block after that many seconds.

    Args:
        operation: named in the error.
        seconds: the limit; what the request has left if that is less.
        timeout_error: raised in the place of an OperationTimeoutError.

    Raises:
        OperationTimeoutError: the time is over.
    """
    seconds = time_left(seconds)
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # It is that of something inside.
            raise
        raise timeout_error or OperationTimeoutError(operation, seconds) from error


async def with_timeout(
    awaitable: Awaitable[T],
    timeout: float,  # noqa: ASYNC109 - to wait with a timeout is what it is for
    timeout_error: Exception | None = None,
) -> T:
    """The result of `awaitable`, or `timeout_error` after `timeout` seconds.

    Raises:
        OperationTimeoutError: the time is over and no `timeout_error` was given.
    """
    async with time_limit(getattr(awaitable, "__qualname__", "operation"), timeout, timeout_error):
        return await awaitable


class timeout:
    """Decorate a function to end after `seconds`.

    A function that is not async becomes one that runs in a worker thread. A thread cannot be stopped: after the timeout
    the caller goes on, and the function does too until it returns, in one of the few threads there are.

    Raises:
        OperationTimeoutError: from the decorated function.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @overload
    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __call__(self, function: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Any]]:
        name = getattr(function, "__qualname__", "operation")
        is_async = inspect.iscoroutinefunction(function)

        @wraps(function)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> Any:
            async with time_limit(name, self.seconds):
                result = function(*args, **kwargs) if is_async else await asyncio.to_thread(function, *args, **kwargs)
                return await result if inspect.isawaitable(result) else result

        return limited
