"""One server of the comparison, in a process of its own: `python -m bench.served KIND PORT`.

All serve the same endpoints on uvicorn with uvloop and httptools; what differs is what happens around them. The path
`/_cpu` is outside of everything and tells the CPU seconds that the process has used.
"""

import importlib
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

router = APIRouter()


class Item(BaseModel):
    """What the endpoint answers."""

    sku: str
    available: int


@router.get("/items/{sku}")
async def item(sku: str) -> Item:
    """An answer without any work."""
    return Item(sku=sku, available=42)


@router.get("/broken/{sku}")
async def broken(sku: str) -> Item:
    """A bug."""
    raise LookupError("no such shelf")


def bare() -> ASGIApp:
    """FastAPI and nothing else."""
    app = FastAPI()
    app.include_router(router)
    return app


def ours(package: str = "orders_service") -> ASGIApp:
    """The rendered service with everything on, its log on standard output."""
    importlib.import_module(f"{package}.observability.logs").configure_logging("INFO")
    # Every error with its whole stack, as if it were the first of its kind: that is what is measured.
    limit: Any = importlib.import_module(f"{package}.observability.stack_limit")
    limit.MOST_STACKS = sys.maxsize
    app: FastAPI = importlib.import_module(f"{package}.app").create_app()
    app.include_router(router)
    # The first of the app's own, as in the others: how many there are before the one that is asked for is its own
    # affair. FastAPI's documentation comes before these in the others, and after them in the service.
    app.router.routes.insert(0, app.router.routes.pop())
    return app


def usual() -> ASGIApp:
    """What is usually put together: a request id, the metrics of each request, and a log line from a middleware."""
    import structlog
    from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
    from prometheus_fastapi_instrumentator import Instrumentator
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.requests import Request
    from starlette.responses import Response

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger()

    async def access(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        begin = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=correlation_id.get())
        response = await call_next(request)
        log.info(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            duration_ms=round((time.perf_counter() - begin) * 1000, 3),
        )
        return response

    app = FastAPI()
    app.include_router(router)
    Instrumentator().instrument(app).expose(app)
    app.add_middleware(BaseHTTPMiddleware, dispatch=access)
    app.add_middleware(CorrelationIdMiddleware, generator=lambda: uuid.uuid4().hex)
    return app


def with_cpu(app: ASGIApp) -> ASGIApp:
    """`app`, which also tells the CPU seconds of this process."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != "/_cpu":
            await app(scope, receive, send)
            return
        body = repr(time.process_time()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return serve


def main(kind: str, port: str) -> None:
    """Serve until the process is told to stop."""
    kinds: dict[str, Any] = {"bare": bare, "ours": ours, "usual": usual}
    app = kinds[kind]()
    config = uvicorn.Config(
        with_cpu(app),
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    server: Any = uvicorn.Server(config)
    if kind == "ours":  # As it is started by `make run`.
        server = importlib.import_module("orders_service.server").DrainingServer(config, app, delay=0.0)
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
