"""The layers around the routes, and the handlers that a service adds to ours."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.subject import Application
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving


class OutOfTea(Exception):
    """Of a service's own, and not one of ours."""


class Marking:
    """A middleware that marks what it sees of an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-seen", str(message["status"]).encode())]
            await send(message)

        if scope.get("path") == "/tea":
            raise OutOfTea
        await self.app(scope, receive, marked)


class Failing:
    """A part of the application that is no route, and fails before or after its answer has begun."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("begun"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OutOfTea


@pytest.fixture
def app(tmp_path: Path) -> Application:
    app = make_app(tmp_path)
    app.add_middleware(Marking)
    app.mount("/kitchen", Failing())
    return app


async def get(app: Application, path: str) -> httpx.Response:
    with serving(app) as url:
        async with connect(url) as client:
            return await client.get(path)


async def test_errors_before_any_route_pass_through_a_middleware_as_answers(app: Application) -> None:
    response = await get(app, "/nowhere")
    assert (response.status_code, response.headers["x-seen"]) == (404, "404")


async def test_handlers_by_class_and_by_status(app: Application) -> None:
    async def by_class(_: Request, __: Exception) -> Response:
        return PlainTextResponse("no tea", 418)

    def by_status(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return PlainTextResponse("not here", error.status_code)

    app.add_exception_handler(OutOfTea, by_class)
    app.add_exception_handler(404, by_status)
    response = await get(app, "/kitchen/empty")
    assert (response.status_code, response.text, response.headers["x-seen"]) == (418, "no tea", "418")
    response = await get(app, "/nowhere")
    assert (response.status_code, response.text) == (404, "not here")


async def test_no_handler_answers_twice(app: Application, logs: LogLines) -> None:
    called = []

    async def handler(_: Request, error: Exception) -> Response:
        called.append(error)
        return PlainTextResponse("no tea")

    app.add_exception_handler(OutOfTea, handler)
    with pytest.raises(httpx.RemoteProtocolError):
        await get(app, "/kitchen/begun")
    assert not called
    [record] = logs.of_level("error")
    assert record["error_type"] == "OutOfTea"


async def test_what_fails_outside_of_the_handlers_is_answered_all_the_same(app: Application) -> None:
    assert (await get(app, "/tea")).status_code == 500


def test_no_request_prepares_for_an_error(app: Application) -> None:
    """The layer that does is found by how FastAPI builds its stack."""
    layer: Any = app.build_middleware_stack()
    names = []
    while layer is not None:
        names.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    assert "LateExceptionMiddleware" in names
    assert not {"ExceptionMiddleware", "ServerErrorMiddleware"} & set(names)


@pytest.mark.parametrize("kind", [500, Exception])
def test_a_handler_that_would_never_be_called_is_refused(app: Application, kind: Any) -> None:
    app.add_exception_handler(kind, lambda *_: Response())
    with pytest.raises(RuntimeError, match=r"handlers\.py"):
        app.build_middleware_stack()


async def test_the_documentation_is_there_and_asked_for_last(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    pages = ["/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"]
    assert [getattr(route, "path", None) for route in app.router.routes[-len(pages) :]] == pages
    assert [(await get(app, page)).status_code for page in pages] == [200] * len(pages)
