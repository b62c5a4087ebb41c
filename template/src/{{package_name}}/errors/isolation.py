"""Keep a failure inside the operation that failed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .hierarchy import ApplicationError, IsolatedError


@asynccontextmanager
async def error_isolation(operation: str) -> AsyncIterator[None]:
    """Turn any foreign exception raised inside into an IsolatedError that names `operation` and keeps the cause.

    Callers then have one exception to expect. Our own errors already say what happened and pass, and so does
    cancellation, which is no failure.

    Raises:
        IsolatedError: with the original exception as its cause.
    """
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        raise IsolatedError(operation) from error
