"""Give an application our behaviour at the border."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Scope

from ..observability.error_reports import ErrorReporter
from ..resilience.degradation import Degradation
from .application import Application
from .cors import allow_origins
from .exchange import ActiveRequests
from .handlers import ErrorResponder, install_error_handlers
from .middleware import RequestMiddleware, RequestObserver
from .offline import while_on_offer
from .openapi import document_errors, published_names


def install_web(
    app: Application,
    *,
    reporter: ErrorReporter,
    observers: Sequence[RequestObserver],
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

    def surround(stack: ASGIApp) -> ASGIApp:
        return RequestMiddleware(
            while_on_offer(stack, degradation, always),
            around_answers=allow_origins(cors_allow_origins),
            answer_error=responder.answer,
            reporter=reporter,
            observers=observers,
            active_requests=active_requests,
            degradation=degradation,
            deadline_seconds=deadline_seconds,
            max_active_requests=max_active_requests,
            always_served=always,
            max_body_bytes=max_body_bytes,
        )

    app.outermost = surround
