"""FastAPI with our pass as the outermost layer.

Middleware added in the usual way ends up inside Starlette's error layer, or outside of our own: then a failing
middleware is answered without request id and access line, or an error without CORS headers. Around the whole stack
both are impossible. It takes the place of Starlette's error layer.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

FAILURE = "failure"
"""Where the scope holds an error on the way to its handler."""


class Application(FastAPI):
    """FastAPI inside one more layer.

    Attributes:
        outermost: wraps the finished middleware stack, before the first request; None for no layer.
    """

    outermost: Callable[[ASGIApp], ASGIApp] | None = None

    def setup(self) -> None:
        """Called by FastAPI before there is any route; its documentation would be the first that each request asks."""

    def add_documentation(self) -> None:
        """Serve the documentation; every request asks the routes in their order, and few ask for this one."""
        super().setup()

    def build_middleware_stack(self) -> ASGIApp:
        """The stack that serves every request."""
        stack = super().build_middleware_stack()
        if self.outermost is None:
            return stack
        if not isinstance(stack, ServerErrorMiddleware):
            raise RuntimeError("This FastAPI begins its stack with another layer than Starlette's for errors")
        if stack.handler is not None:
            raise RuntimeError("A handler for Exception or 500 is never called: add to web/handlers.py what it does")
        layer: Any = stack
        while hasattr(layer, "app"):
            if isinstance(layer.app, ExceptionMiddleware):
                layer.app = LateExceptionMiddleware(layer.app.app, self.exception_handlers)
                break
            layer = layer.app
        # Starlette's outermost layer answers what nobody else did, which is what ours does.
        return self.outermost(stack.app)


class LateExceptionMiddleware(ExceptionMiddleware):
    """Starlette's, which prepares for an error only once there is one: that is a tenth of what a request costs."""

    def __init__(self, app: ASGIApp, handlers: Mapping[Any, ExceptionHandler]) -> None:
        super().__init__(app, handlers)
        self._answer = ExceptionMiddleware(_fail, handlers)
        # Handlers by status are called for HTTPException, which always has one by class too.
        self._handled = tuple(self._exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; an error goes to the handler registered for it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["starlette.exception_handlers"] = self._exception_handlers, self._status_handlers  # Routes have a look.
        started = False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if started or not isinstance(error, self._handled):
                raise
            scope[FAILURE] = error
            await self._answer(scope, receive, send)


async def _fail(scope: Scope, _: Receive, __: Send) -> None:
    raise scope.pop(FAILURE)
