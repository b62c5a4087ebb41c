"""FastAPI with our pass as the outermost layer.

Middleware added in the usual way ends up inside Starlette's error layer, or outside of our own: then a failing
middleware is answered without request id and access line, or an error without CORS headers. Around the whole stack
both are impossible, and Starlette's error layer serves as the catch-all that we would otherwise have to add.
"""

from collections.abc import Callable

from fastapi import FastAPI
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
        return stack if self.outermost is None else self.outermost(stack)
