"""From a driver's exception to one of ours, or to none where it is a bug.

What the driver means by it is `dialect.py`'s affair.
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
from ..errors.hierarchy import (
    ApplicationError,
    ConflictError,
    UnprocessableError,
)
from . import dialect
from .base import Base
from .failures import Failure, unavailable


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
    match _failure(error):
        case Failure.CONFLICT:
            return ConflictError("Resource", _field(error))
        case Failure.UNPROCESSABLE:
            return UnprocessableError("A value is not acceptable to the database", field=_field(error))
        case Failure.LOST_RACE | Failure.UNAVAILABLE:
            return unavailable()
    return None


def lost_a_race(error: BaseException) -> bool:
    """Whether the database has undone the transaction of `error` because of another one, and might not the next time."""
    cause = error.__cause__ if isinstance(error, ApplicationError) else error
    return isinstance(cause, exc.DBAPIError) and _failure(cause) is Failure.LOST_RACE


def _failure(error: exc.SQLAlchemyError) -> Failure | None:
    if isinstance(error, exc.TimeoutError):  # No connection became free in time.
        return Failure.UNAVAILABLE
    if not isinstance(error, exc.DBAPIError):
        return None
    if error.connection_invalidated:
        return Failure.UNAVAILABLE
    return dialect.failure(error)


def _field(error: exc.SQLAlchemyError) -> str | None:
    """What clients call that which broke a constraint: `info={"field": …}` of the constraint in its model."""
    broken = dialect.constraint(error) if isinstance(error, exc.DBAPIError) else None
    for table in Base.metadata.tables.values():
        for constraint in table.constraints:
            if broken is not None and "field" in constraint.info and broken in dialect.names(constraint):
                return str(constraint.info["field"])
    return None


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
