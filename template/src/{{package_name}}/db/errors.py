"""From a driver's exception to one of ours, or to none where it is a bug.

SQLite reports a syntax error, a missing table and a busy file alike as OperationalError, so the class alone says
nothing: what counts is the name of the result code.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError

from ..errors.classification import (
    BUG,
    CLIENT_ERROR,
    CONFLICT,
    UNAVAILABLE,
    Classification,
    ErrorClassifier,
)
from ..errors.hierarchy import ApplicationError, ConflictError, ServiceUnavailableError, UnprocessableError

RETRY_AFTER_SECONDS = 1.0

_CONFLICTS = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_FOREIGNKEY"})
_UNPROCESSABLE = frozenset({"SQLITE_CONSTRAINT_CHECK", "SQLITE_CONSTRAINT_NOTNULL", "SQLITE_TOOBIG"})
# Compared up to the second underscore: extended codes such as SQLITE_IOERR_WRITE mean the same to a caller.
_UNAVAILABLE = frozenset(
    {
        "SQLITE_BUSY",
        "SQLITE_CANTOPEN",
        "SQLITE_CORRUPT",
        "SQLITE_FULL",
        "SQLITE_IOERR",
        "SQLITE_LOCKED",
        "SQLITE_NOMEM",
        "SQLITE_NOTADB",
        "SQLITE_PERM",
        "SQLITE_PROTOCOL",
        "SQLITE_READONLY",
    }
)


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Raise our own exception for each failure of the database inside; a bug in a statement passes as it is."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error


def translate(error: exc.SQLAlchemyError) -> ApplicationError | None:
    """Our exception for `error`, or None where the fault is in our own code."""
    if isinstance(error, StaleDataError):
        return ConflictError("Resource", "version")
    if isinstance(error, exc.TimeoutError):  # No connection became free in time.
        return ServiceUnavailableError("database", retry_after=RETRY_AFTER_SECONDS)
    if not isinstance(error, exc.DBAPIError):
        return None
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    if name in _CONFLICTS:
        return ConflictError("Resource")
    if name in _UNPROCESSABLE:
        return UnprocessableError("A value is not acceptable to the database")
    if error.connection_invalidated or "_".join(name.split("_")[:2]) in _UNAVAILABLE:
        return ServiceUnavailableError("database", retry_after=RETRY_AFTER_SECONDS)
    return None


def lost_a_race(error: BaseException) -> bool:
    """Whether the database has undone the transaction of `error` because of another one, and might not the next time."""
    cause = error.__cause__ if isinstance(error, ApplicationError) else error
    return isinstance(cause, exc.DBAPIError) and getattr(cause.orig, "sqlite_errorname", "") == "SQLITE_BUSY_SNAPSHOT"


def register_errors(classifier: ErrorClassifier) -> None:
    """Tell the classifier of the exceptions that SQLAlchemy raises."""
    classifier.register(exc.SQLAlchemyError, _classify)
    classifier.register(exc.EmulatedDBAPIException, BUG)


def _classify(error: exc.SQLAlchemyError) -> Classification:
    ours = translate(error)
    if isinstance(ours, ConflictError):
        return CONFLICT
    if isinstance(ours, UnprocessableError):
        return CLIENT_ERROR
    return BUG if ours is None else UNAVAILABLE
