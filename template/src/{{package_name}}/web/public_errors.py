"""What a client may learn of an exception: this is where it is decided, for every error answer."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticKnownError
from starlette.exceptions import HTTPException

from ..errors.hierarchy import (
    ApplicationError,
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    ServiceUnavailableError,
    UnprocessableError,
)


@dataclass(frozen=True, slots=True)
class PublicError:
    """An error as a client sees it, before it takes a format.

    Args:
        status: the HTTP status.
        type: the class of error, for people.
        code: the stable name, for programs.
        message: one sentence; constant from 500 on.
        context: public facts.
        details: one entry for each invalid part of the request, with `loc`, `msg` and `type`.
        headers: that belong to the answer, such as `Allow`.
    """

    status: int
    type: str
    code: str
    message: str
    context: Mapping[str, Any] = field(default_factory=dict)
    details: tuple[Mapping[str, Any], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


# Statuses that the framework, a proxy's rule or an endpoint may raise as a bare HTTPException.
_OF_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequestError", "bad_request"),
    405: ("MethodNotAllowedError", "method_not_allowed"),
    413: ("ContentTooLargeError", "content_too_large"),
    **{
        kind.status_code: (kind.__name__, kind.code)
        for kind in (
            AuthenticationError,
            AuthorizationError,
            NotFoundError,
            ConflictError,
            UnprocessableError,
            RateLimitError,
            ServiceUnavailableError,
        )
    },
}
_CLIENT_ERROR, _SERVER_ERROR = ("HTTPError", "http_error"), ("InternalError", "internal_error")


def public_error(error: Exception, published_names: Collection[str]) -> PublicError:
    """Reduce `error` to what a client may see.

    Args:
        error: anything that was raised.
        published_names: names that the API's own documentation uses; no other text may appear in a location.
    """
    if isinstance(error, ExceptionGroup):
        error = _of_group(error)
    if isinstance(error, ApplicationError):
        return _of_application(error)
    if isinstance(error, RequestValidationError):
        details = tuple(_details(error, published_names))
        return PublicError(422, "ValidationError", "validation_error", "Validation error", details=details)
    if isinstance(error, HTTPException):
        return _of_http(error)
    return PublicError(500, *_SERVER_ERROR, ApplicationError.public_text)


def _of_group(group: ExceptionGroup[Exception]) -> Exception:
    """The gravest of a group of our own errors; the group itself as soon as one member is foreign."""
    members = list(_leaves(group))
    own = [member for member in members if isinstance(member, ApplicationError)]
    return max(own, key=lambda member: member.status_code) if len(own) == len(members) else group


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for member in group.exceptions:
        if isinstance(member, ExceptionGroup):
            yield from _leaves(member)
        else:
            yield member


def _of_application(error: ApplicationError) -> PublicError:
    public = error.to_dict()
    return PublicError(
        status=error.status_code,
        type=public["type"],
        code=public["code"],
        message=public["message"],
        context=public.get("context", {}),
        headers=error.headers,
    )


def _of_http(error: HTTPException) -> PublicError:
    """The status and the headers stand; `detail` is dropped, for nobody knows what it was made of."""
    status = error.status_code
    kind, code = _OF_STATUS.get(status, _SERVER_ERROR if status >= 500 else _CLIENT_ERROR)
    message = ApplicationError.public_text if code == "internal_error" else code.replace("_", " ").capitalize()
    return PublicError(status, kind, code, message, headers=error.headers or {})


# Facts that come from our own schema. What pydantic adds from the input is left out.
_CONSTRAINTS = frozenset(
    {
        *("gt", "ge", "lt", "le", "multiple_of"),
        *("min_length", "max_length", "actual_length", "field_type", "pattern"),
        *("max_digits", "decimal_places", "whole_digits", "tz_expected"),
        *("expected", "expected_schemes", "expected_tags", "discriminator", "class", "class_name"),
    }
)


def _details(error: RequestValidationError, published_names: Collection[str]) -> Iterator[Mapping[str, Any]]:
    for entry in error.errors():
        location = entry.get("loc", ())
        yield {
            "loc": [part for part in location if isinstance(part, int) or part in published_names],
            "msg": _message(entry),
            "type": _known_type(entry["type"]),
        }


def _known_type(kind: str) -> str:
    """Pydantic's own name of the error; a custom one may be made of anything."""
    return kind if kind.replace("_", "").isalpha() and len(kind) <= 50 else "value_error"


def _message(entry: Mapping[str, Any]) -> str:
    if entry["type"] == "json_invalid":
        return "The body is not valid JSON"
    constraints = {key: value for key, value in (entry.get("ctx") or {}).items() if key in _CONSTRAINTS}
    try:
        return PydanticKnownError(entry["type"], constraints or None).message()
    except (KeyError, TypeError):
        return "The value is not valid"
