"""From an exception to an answer: registered for everything that can be raised."""

from collections.abc import Callable, Collection

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope
from starlette.websockets import WebSocket

from ..errors.classification import (
    CLIENT_ERROR,
    CONFLICT,
    Classification,
    ErrorCategory,
    ErrorClassifier,
    ErrorSeverity,
)
from ..errors.groups import principal
from ..errors.hierarchy import ApplicationError
from ..observability.context import request_id as current_request_id
from ..observability.error_reports import ErrorReporter
from ..observability.lines import as_json
from .error_body import MEDIA_TYPE, error_body
from .exchange import KNOWN_METHODS
from .public_errors import INVALID_REQUEST, PublicError, public_error

NO_STORE = (b"cache-control", b"no-store")
"""So that no cache keeps an error."""


class ErrorResponder:
    """Answers exceptions with the documented body and reports them.

    Args:
        reporter: learns of every error answered.
        published_names: reads the names that the API's own documentation uses.
    """

    def __init__(self, reporter: ErrorReporter, published_names: Callable[[], Collection[str]]) -> None:
        self._reporter = reporter
        self._published_names = published_names

    def answer(self, scope: Scope, error: Exception) -> Response:
        """Report `error` and render its answer."""
        if isinstance(error, HTTPException) and error.status_code < 400:
            return Response(status_code=error.status_code, headers=error.headers)  # A redirect, say: no error.
        if isinstance(error, HTTPException) and error.status_code == 405:
            error = HTTPException(405, headers=_allow(scope) or error.headers)
        error = principal(error)
        known: Collection[str] = self._published_names() if isinstance(error, INVALID_REQUEST) else ()
        public = public_error(error, known)
        self._reporter.report(error, public.status)
        return render(public)

    async def handle(self, connection: Request | WebSocket, error: Exception) -> Response:
        """The handler that FastAPI calls. A WebSocket cannot be answered here: websockets.py ends it."""
        if isinstance(connection, WebSocket):
            raise error
        return self.answer(connection.scope, error)


def _allow(scope: Scope) -> dict[str, str]:
    """`Allow` with the methods of every route of this path: the framework names those of the first one alone."""
    routes = scope["app"].router.routes
    plain = {"type": "http", "path": scope["path"], "root_path": scope.get("root_path", ""), "headers": []}
    allowed = [
        method
        for method in sorted(KNOWN_METHODS)
        if any(route.matches({**plain, "method": method})[0] is Match.FULL for route in routes)
    ]
    return {"Allow": ", ".join(allowed)} if allowed else {}


def render(error: PublicError) -> Response:
    """The HTTP answer."""
    body = as_json(error_body(error, current_request_id.get())).encode()
    response = Response(body, status_code=error.status, headers=error.headers or None, media_type=MEDIA_TYPE)
    response.raw_headers.append(NO_STORE)
    return response


def install_error_handlers(app: FastAPI, responder: ErrorResponder) -> None:
    """Register for each root that FastAPI would otherwise answer in its own way; RequestMiddleware has all others."""
    for kind in (ApplicationError, HTTPException, *INVALID_REQUEST, ExceptionGroup):
        app.add_exception_handler(kind, responder.handle)


def register_errors(classifier: ErrorClassifier) -> None:
    """Tell the classifier of the exceptions that the web framework raises."""
    for kind in INVALID_REQUEST:
        classifier.register(kind, CLIENT_ERROR)
    classifier.register(HTTPException, _classify_http)


_OF_STATUS = {
    401: Classification(ErrorCategory.AUTHENTICATION, ErrorSeverity.LOW),
    403: Classification(ErrorCategory.AUTHORIZATION, ErrorSeverity.MEDIUM),
    404: Classification(ErrorCategory.NOT_FOUND, ErrorSeverity.LOW),
    409: CONFLICT,
    429: Classification(ErrorCategory.RATE_LIMIT, ErrorSeverity.LOW),
    503: Classification(ErrorCategory.SERVICE_UNAVAILABLE, ErrorSeverity.HIGH),
    504: Classification(ErrorCategory.TIMEOUT, ErrorSeverity.MEDIUM),
}


def _classify_http(error: HTTPException) -> Classification:
    other = Classification(ErrorCategory.INTERNAL, ErrorSeverity.MEDIUM) if error.status_code >= 500 else CLIENT_ERROR
    return _OF_STATUS.get(error.status_code, other)
