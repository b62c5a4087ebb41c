"""What a database can fail with, whatever it is and whatever its driver makes of that."""

from enum import Enum, auto

from ..errors.hierarchy import ServiceUnavailableError

RETRY_AFTER_SECONDS = 1.0


class Failure(Enum):
    """A failure that is no bug of ours."""

    CONFLICT = auto()
    """A value that must be there once, or a reference to what is not there."""
    UNPROCESSABLE = auto()
    """A value that the table does not take."""
    LOST_RACE = auto()
    """The transaction was undone because of another one, for certain and to its beginning."""
    UNAVAILABLE = auto()
    """It cannot be reached, has no room, or what it was asked took too long."""


def unavailable() -> ServiceUnavailableError:
    """The database cannot do its part now."""
    return ServiceUnavailableError("database", retry_after=RETRY_AFTER_SECONDS)
