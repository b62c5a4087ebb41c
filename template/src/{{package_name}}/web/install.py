"""Give an application our behaviour at the border."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Scope

from ..observability.error_reports import ErrorReporter
from ..resilience.degradation import Degradation
from .admission import Admission
from .application import Application
from .cors import allow_origins
from .exchange import ActiveRequests
from .finished import FinishedRequests
from .handlers import ErrorResponder, install_error_handlers
from .middleware import RequestMiddleware
from .openapi import document_errors, published_names


def install_web(
    app: Application,
    *,
    reporter: ErrorReporter,
    finished: FinishedRequests,
    active_requests: ActiveRequests,
    degradation: Degradation,
    always_served: Sequence[BaseRoute],
    cors_allow_origins: Sequence[str],
    deadline_seconds: float,
    max_active_requests: int,
    max_body_bytes: int,
) -> None:
    """Install the error handlers, the documentation of errors and the pass around every request."""
    responder = ErrorResponder(reporter, published_names(app))
    install_error_handlers(app, responder)
    document_errors(app)

    def always(scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in always_served)

    admission = Admission(
        degradation,
        active_requests,
        max_active_requests=max_active_requests,
        max_body_bytes=max_body_bytes,
        always_served=always,
    )

    def surround(stack: ASGIApp) -> ASGIApp:
        return RequestMiddleware(
            stack,
            around_answers=allow_origins(cors_allow_origins),
            answer_error=responder.answer,
            reporter=reporter,
            admission=admission,
            finished=finished,
            deadline_seconds=deadline_seconds,
        )

    app.outermost = surround
