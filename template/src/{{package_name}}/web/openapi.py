"""Make the OpenAPI document tell of the errors that are really sent."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from fastapi import FastAPI

from ..errors.hierarchy import (
    ApplicationError,
    OperationTimeoutError,
    ServiceUnavailableError,
)
from .error_body import MEDIA_TYPE, ErrorResponse

Responses = dict[int | str, dict[str, Any]]

_REFERENCE = {"$ref": "#/components/schemas/ErrorResponse"}
_EVERYWHERE = {
    "500": "The service has a fault.",
    str(ServiceUnavailableError.status_code): "The service or something it needs is unavailable.",
    str(OperationTimeoutError.status_code): "The answer took too long.",
}
_WITH_BODY = {"400": "The body cannot be read.", "413": "The body is too large."}


def raises(*kinds: type[ApplicationError]) -> Responses:
    """Document the errors a route raises: `@router.get(…, responses=raises(NotFoundError))`."""
    return {
        kind.status_code: {"description": inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]} for kind in kinds
    }


def document_errors(app: FastAPI) -> None:
    """Give every error answer in the document of `app` its schema and media type, and add those any route can send.

    An answer that already declares content, such as a health report with 503, stays as it is.
    """
    generate = app.openapi
    done: dict[str, Any] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal done
        document = generate()
        if document is not done:  # FastAPI makes a new one only when the routes have changed.
            _document(document)
            done = document
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _document(document: dict[str, Any]) -> None:
    for path in document.get("paths", {}).values():
        for operation in path.values():
            _document_operation(operation)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for theirs in ("HTTPValidationError", "ValidationError"):
        schemas.pop(theirs, None)
    own = ErrorResponse.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(own.pop("$defs", {}))
    schemas["ErrorResponse"] = own


def _document_operation(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    for status, description in (_EVERYWHERE | (_WITH_BODY if "requestBody" in operation else {})).items():
        responses.setdefault(status, {"description": description})
    for status, response in responses.items():
        is_error = not status.isdigit() or int(status) >= 400  # "4XX" and "default" too.
        if is_error and ("content" not in response or _is_frameworks(response)):
            response["content"] = {MEDIA_TYPE: {"schema": _REFERENCE}}
    operation["responses"] = dict(sorted(responses.items()))


def _is_frameworks(response: Mapping[str, Any]) -> bool:
    """Whether this is FastAPI's own description of a 422, which we never send."""
    schema = response["content"].get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref", "").endswith("/HTTPValidationError"))


def published_names(app: FastAPI) -> Callable[[], Collection[str]]:
    """A reader of all names of parameters and properties in the document of `app`, and of the places they are in."""
    document: dict[str, Any] = {}
    names: frozenset[str] = frozenset()

    def read() -> Collection[str]:
        nonlocal document, names
        current = app.openapi()
        if current is not document:  # FastAPI makes a new one only when the routes have changed.
            document, names = current, frozenset(_names(current))
        return names

    return read


def _names(document: dict[str, Any]) -> Iterator[str]:
    yield from ("body", "query", "path", "header", "cookie")
    queue: list[Any] = [document]
    while queue:
        node = queue.pop()
        if isinstance(node, dict):
            yield from node.get("properties", ())
            if isinstance(node.get("in"), str) and isinstance(node.get("name"), str):
                yield node["name"]
            queue.extend(node.values())
        elif isinstance(node, list):
            queue.extend(node)
