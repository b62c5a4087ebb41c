"""How much is on offer, as clients and operators see it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.exceptions import InvalidStatus

from tests.conftest import ORIGIN
from tests.subject import Application, ServiceLevel
from tests.support import failing
from tests.support.bodies import read_error
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving


@pytest.fixture
def app(tmp_path: Path) -> Application:
    app = make_app(tmp_path, CORS_ALLOW_ORIGINS=ORIGIN)
    app.include_router(failing.router)
    return app


@pytest.fixture
def service_url(app: Application) -> Iterator[str]:
    with serving(app) as url:
        yield url


@pytest.fixture
async def caller(service_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(service_url) as client:
        yield client


async def test_nothing_is_said_while_all_is_on_offer(caller: httpx.AsyncClient) -> None:
    assert "x-service-level" not in (await caller.get("/livez")).headers
    report = (await caller.get("/health")).json()
    assert (report["status"], report["service_level"]) == ("healthy", "full")


@pytest.mark.parametrize("level", [ServiceLevel.DEGRADED, ServiceLevel.MINIMAL])
async def test_every_answer_tells_of_a_lower_level(
    app: Application, caller: httpx.AsyncClient, logs: LogLines, level: ServiceLevel
) -> None:
    app.state.degradation.pin(level)
    for path, status in (("/fail/slow", 200), ("/nowhere", 404), ("/fail/endpoint", 500), ("/readyz", 200)):
        response = await caller.get(path, headers={"Origin": ORIGIN})
        assert (response.status_code, response.headers.get_list("x-service-level")) == (status, [level.value])
        assert "X-Service-Level" in response.headers["access-control-expose-headers"]
    report = await caller.get("/health")
    assert report.status_code == 200
    assert (report.json()["status"], report.json()["service_level"]) == ("degraded", level.value)
    changes = [line for line in logs.of_level("warning") if line["event"] == "service level changed"]
    assert [(line["previous"], line["service_level"]) for line in changes] == [("full", level.value)]
    app.state.degradation.enable_automatic_mode()
    assert "x-service-level" not in (await caller.get("/fail/slow")).headers


async def test_offline_refuses_what_the_service_is_for(app: Application, caller: httpx.AsyncClient) -> None:
    app.state.degradation.pin(ServiceLevel.OFFLINE)
    for method, path in (("GET", "/fail/slow"), ("POST", "/fail/login"), ("GET", "/nowhere"), ("GET", "/docs")):
        response = await caller.request(method, path, headers={"Origin": ORIGIN})
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
        assert read_error(response).code == "service_unavailable"
        assert response.headers["x-service-level"] == "offline"
        assert response.headers["access-control-allow-origin"] == ORIGIN
    app.state.degradation.enable_automatic_mode()
    assert (await caller.get("/fail/slow")).status_code == 200


async def test_offline_still_tells_how_it_is(app: Application, caller: httpx.AsyncClient) -> None:
    app.state.degradation.pin(ServiceLevel.OFFLINE)
    for path in ("/livez", "/readyz", "/startupz"):
        assert (await caller.get(path)).status_code == 200
    report = await caller.get("/health")
    assert (report.status_code, report.json()["service_level"]) == (200, "offline")
    assert (await caller.post("/health")).status_code == 405
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    assert (await caller.options("/fail/login", headers=preflight)).status_code == 200


async def test_offline_refuses_websockets(app: Application, service_url: str) -> None:
    app.state.degradation.pin(ServiceLevel.OFFLINE)
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(f"{service_url.replace('http', 'ws')}/fail/numbers/1"):
            pass
    assert refused.value.response.status_code == 503


async def test_a_setting_holds_the_level_from_the_start(tmp_path: Path, app: Application) -> None:
    held = make_app(tmp_path, SERVICE_LEVEL="minimal")
    with serving(held) as url:
        async with connect(url) as client:
            assert (await client.get("/livez")).headers["x-service-level"] == "minimal"
    with serving(make_app(tmp_path, SERVICE_LEVEL="offline")) as url:
        async with connect(url) as client:
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/fail/nothing")).status_code == 503
    # Another app in the same process has a level of its own.
    assert app.state.degradation.level is ServiceLevel.FULL


async def test_a_preflight_that_is_answered_all_the_same_is_no_error(
    app: Application, caller: httpx.AsyncClient, logs: LogLines
) -> None:
    app.state.degradation.pin(ServiceLevel.OFFLINE)
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    response = await caller.options("/fail/login", headers=preflight)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert logs.access()[0]["status"] == 200
    assert logs.of_level("error") == []
