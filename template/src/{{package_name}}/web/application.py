"""FastAPI with our pass as the outermost layer.

Middleware added in the usual way ends up inside Starlette's error layer, or outside of our own: then a failing
middleware is answered without request id and access line, or an error without CORS headers. Around the whole stack
both are impossible. It takes the place of Starlette's error layer.
"""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp


class Application(FastAPI):
    """FastAPI inside one more layer.

    Attributes:
        outermost: wraps the finished middleware stack, before the first request; None for no layer.
    """

    outermost: Callable[[ASGIApp], ASGIApp] | None = None

    def build_middleware_stack(self) -> ASGIApp:
        """The stack that serves every request."""
        stack = super().build_middleware_stack()
        if self.outermost is None or not isinstance(stack, ServerErrorMiddleware):
            return stack
        if stack.handler is not None:
            raise RuntimeError("A handler for Exception or 500 is never called: add to web/handlers.py what it does")
        # Starlette's outermost layer answers what nobody else did, which is what ours does.
        return self.outermost(stack.app)
