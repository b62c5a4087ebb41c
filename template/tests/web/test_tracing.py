"""The trace of a request: taken from its header or from OpenTelemetry, in every line, and handed on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from fastapi import APIRouter, Request, WebSocket
from pydantic import BaseModel
from websockets.exceptions import InvalidStatus

from tests.subject import get_logger
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving
from tests.support.upstreams import POLICY, connect_to
from tests.web.conftest import Exported
from tools.unreliable_upstream import UnreliableUpstream

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

log = get_logger(__name__)
router = APIRouter()


class Stock(BaseModel):
    sku: str
    available: int


@router.get("/calling")
async def calling(request: Request) -> Stock:
    """Write a line, call an upstream, fail."""
    log.info("from the endpoint")
    async with connect_to(request.query_params["url"], POLICY) as connection:
        await connection.get("/stock/A-1", Stock)
    raise RuntimeError("failed on purpose")


@router.websocket("/traced")
async def traced(websocket: WebSocket) -> None:
    """Fail before the connection is accepted."""
    raise RuntimeError("failed on purpose")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, _log_stream: LogLines) -> Iterator[str]:
    app = make_app(tmp_path_factory.mktemp("traced"))
    app.include_router(router)
    with serving(app) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(url) as client:
        yield client


async def test_every_line_and_the_upstream_learn_of_the_trace(client: httpx.AsyncClient, logs: LogLines) -> None:
    async with UnreliableUpstream() as upstream:
        response = await client.get("/calling", params={"url": upstream.url}, headers={"traceparent": TRACEPARENT})
    assert response.status_code == 500
    logs.access()
    lines = {line["event"]: line["trace_id"] for line in logs.all() if "request_id" in line}
    assert lines == dict.fromkeys(("from the endpoint", "request failed", "request"), TRACE)
    assert upstream.requests[0].headers["traceparent"] == TRACEPARENT


async def test_without_a_trace_there_is_none(client: httpx.AsyncClient, logs: LogLines) -> None:
    async with UnreliableUpstream() as upstream:
        await client.get("/calling", params={"url": upstream.url})
    logs.access()
    assert not any("trace_id" in line for line in logs.all())
    assert "traceparent" not in upstream.requests[0].headers


async def test_a_trace_ends_with_its_request(tmp_path: Path, logs: LogLines) -> None:
    """Here the next one is served in the same context, which a server does not do."""
    app = make_app(tmp_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        await client.get("/livez", headers={"traceparent": TRACEPARENT})
        await client.get("/livez")
    app.state.finished.hand_on()
    first, second = logs.access(2)
    assert first["trace_id"] == TRACE
    assert "trace_id" not in second


@pytest.mark.parametrize(
    "offered",
    [
        "",
        TRACE,
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT[:-1],
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
        f"ff-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01more",
        f"cc-{TRACE}-{PARENT}-0",
        TRACEPARENT + "x" * 60_000,
        "ü" * 55,
    ],
)
async def test_what_is_not_valid_is_ignored(client: httpx.AsyncClient, logs: LogLines, offered: str) -> None:
    response = await client.get("/livez", headers=[(b"traceparent", offered.encode())])
    assert response.status_code == 200
    [line] = logs.access()
    assert "trace_id" not in line
    assert len(logs.getvalue()) < 1_000


@pytest.mark.parametrize("offered", [f"cc-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-what the future brings"])
async def test_a_later_version_is_read_as_ours(client: httpx.AsyncClient, logs: LogLines, offered: str) -> None:
    async with UnreliableUpstream() as upstream:
        await client.get("/calling", params={"url": upstream.url}, headers={"traceparent": offered})
    assert logs.access()[0]["trace_id"] == TRACE
    assert upstream.requests[0].headers["traceparent"] == TRACEPARENT


async def test_the_trace_of_a_websocket(url: str, logs: LogLines) -> None:
    with pytest.raises(InvalidStatus):
        async with websockets.connect(
            url.replace("http", "ws", 1) + "/traced", additional_headers={"traceparent": TRACEPARENT}
        ):
            pass
    assert logs.of_level("error")[0]["trace_id"] == TRACE


async def test_a_span_of_opentelemetry_wins(client: httpx.AsyncClient, logs: LogLines, exported: Exported) -> None:
    async with UnreliableUpstream() as upstream:
        await client.get("/calling", params={"url": upstream.url})
        await client.get("/calling", params={"url": upstream.url}, headers={"traceparent": TRACEPARENT})
    own, joined = (request.headers["traceparent"] for request in upstream.requests)
    logs.access(2)
    assert [line["trace_id"] for line in logs.all()] == [own[3:35]] * 3 + [TRACE] * 3
    assert joined[3:35] == TRACE
    # What the upstream does is below the span that called it, the nearest one.
    names = {number: name for name, number, _ in exported.spans()}
    assert [names[sent[36:52]] for sent in (own, joined)] == ["fastapi.endpoint"] * 2


async def test_all_that_spans_tell(failing_client: httpx.AsyncClient, logs: LogLines, exported: Exported) -> None:
    await failing_client.get("/fail/endpoint?token=canary&page=2")
    logs.access()
    *inner, (name, _, told) = exported.spans()
    assert name == "GET /fail/endpoint"
    assert told.pop("server.port")
    assert told == {
        "url.scheme": "http",
        "http.request.method": "GET",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "url.path": "/fail/endpoint",
        "url.query": "***",
        "http.route": "/fail/endpoint",
        "http.response.status_code": 500,
        "error.type": "RuntimeError",
    }
    functions = {name: set(attributes) for name, _, attributes in inner}
    assert functions == {
        "fastapi.dependencies": {"code.function.name"},
        "fastapi.endpoint": {"code.function.name", "error.type"},
    }


async def test_a_long_path_is_cut(failing_client: httpx.AsyncClient, logs: LogLines, exported: Exported) -> None:
    await failing_client.get("/" + "x" * 60_000)
    logs.access()
    assert len(exported.everything()) < 5_000
