"""What a client may learn of an exception: this is where it is decided, for every error answer."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from pydantic_core import PydanticKnownError
from starlette.exceptions import HTTPException

from ..errors.hierarchy import ApplicationError


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


INVALID_REQUEST = (RequestValidationError, WebSocketRequestValidationError)

# What a bare HTTPException says, by its status; the same as our own exception of that status, where there is one.
_OF_STATUS: Mapping[int, tuple[str, str, str]] = {
    400: ("BadRequestError", "bad_request", "Bad request"),
    401: ("AuthenticationError", "authentication_required", "Authentication is required"),
    403: ("AuthorizationError", "forbidden", "This is not allowed"),
    404: ("NotFoundError", "not_found", "Not found"),
    405: ("MethodNotAllowedError", "method_not_allowed", "Method not allowed"),
    409: ("ConflictError", "conflict", "Conflict"),
    413: ("ContentTooLargeError", "content_too_large", "Content too large"),
    422: ("UnprocessableError", "unprocessable", "Unprocessable"),
    429: ("RateLimitError", "rate_limited", "Too many requests"),
    503: ("ServiceUnavailableError", "service_unavailable", "The service is temporarily unavailable"),
    504: ("OperationTimeoutError", "timeout", "The operation timed out"),
}
_CLIENT_ERROR = ("HTTPError", "http_error", "The request cannot be served")
_SERVER_ERROR = ("InternalError", "internal_error", "Internal server error")
_BUG = PublicError(500, *_SERVER_ERROR)


def public_error(error: Exception, published_names: Collection[str]) -> PublicError:
    """Reduce `error` to what a client may see.

    Args:
        error: anything that was raised.
        published_names: names that the API's own documentation uses; no other text may appear in a location.
    """
    if isinstance(error, ApplicationError):
        return _of_application(error)
    if isinstance(error, INVALID_REQUEST):
        details = tuple(_details(error, published_names))
        return PublicError(422, "ValidationError", "validation_error", "Validation error", details=details)
    if isinstance(error, HTTPException):
        return _of_http(error)
    return _BUG


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
    kind, code, message = _OF_STATUS.get(status, _SERVER_ERROR if status >= 500 else _CLIENT_ERROR)
    return PublicError(status, kind, code, message, headers=error.headers or {})


# Facts of our own schema, and a length. What else pydantic adds comes from the input and is left out.
_CONSTRAINTS = frozenset(
    {
        *("gt", "ge", "lt", "le", "multiple_of"),
        *("min_length", "max_length", "actual_length", "field_type", "pattern"),
        *("max_digits", "decimal_places", "whole_digits", "tz_expected"),
        *("expected", "expected_schemes", "expected_tags", "discriminator", "class", "class_name"),
    }
)


MOST_DETAILS = 20
"""Invalid parts that are told; a client with more of them knows enough."""


def _details(error: ValidationException, published_names: Collection[str]) -> Iterator[Mapping[str, Any]]:
    for entry in error.errors()[:MOST_DETAILS]:
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
