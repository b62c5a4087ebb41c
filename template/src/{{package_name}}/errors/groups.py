"""Groups of exceptions, as a TaskGroup raises them."""

from collections.abc import Iterator

from .hierarchy import ApplicationError


def principal(error: Exception) -> Exception:
    """What matters: of a group of our own errors the gravest, otherwise `error` itself."""
    if not isinstance(error, ExceptionGroup):
        return error
    members = list(_leaves(error))
    own = [member for member in members if isinstance(member, ApplicationError)]
    return max(own, key=lambda member: member.status_code) if len(own) == len(members) else error


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for member in group.exceptions:
        if isinstance(member, ExceptionGroup):
            yield from _leaves(member)
        else:
            yield member
