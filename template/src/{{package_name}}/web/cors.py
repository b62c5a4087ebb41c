"""Cross-origin requests, from configured origins only."""

from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from .handlers import render
from .public_errors import PublicError


class Cors(CORSMiddleware):
    """Starlette's, with the documented body where it refuses."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight request."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        refusal = PublicError(
            response.status_code, "BadRequestError", "cors_refused", "The cross-origin request is refused", headers=kept
        )
        return render(refusal)


def allow_origins(origins: Sequence[str]) -> Callable[[ASGIApp], ASGIApp]:
    """A wrapper that lets browsers on `origins` read every answer, errors included; a plain pass when there are none."""
    if not origins:
        return lambda app: app
    return lambda app: Cors(
        app,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "X-Service-Level", "Retry-After"],
    )
