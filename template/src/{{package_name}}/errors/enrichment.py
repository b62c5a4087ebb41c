"""Add what the caller knows to an error that passes by."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .hierarchy import ApplicationError


@contextmanager
def error_context(**context: Any) -> Iterator[None]:
    """Enrich every ApplicationError raised inside with `context`, for the log; other exceptions pass untouched."""
    try:
        yield
    except ApplicationError as error:
        error.enrich(**context)
        raise
