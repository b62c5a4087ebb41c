"""The probes and the report, with a database that answers and one that does not."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.subject import PACKAGE
from tests.support.database import appear, destroy_database, url_of_later
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/startupz"):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok", "reasons": []})
    report = await client.get("/health")
    assert report.status_code == 200
    body = report.json()
    assert body["status"] == "healthy"
    assert body["checks"]["database"]["status"] == "healthy"


async def _eventually(client: httpx.AsyncClient, path: str, status: int) -> None:
    """Checks are cached for a moment, so what happened shows a moment later."""
    async with asyncio.timeout(10):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("requires", ["", "database"])
async def test_a_service_without_its_database_lives_and_waits(
    tmp_path: Path, logs: LogLines, monkeypatch: pytest.MonkeyPatch, requires: str
) -> None:
    monkeypatch.setattr(f"{PACKAGE}.lifespan.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(f"{PACKAGE}.lifespan.FIRST_RETRY_SECONDS", 0.2)
    address = url_of_later(tmp_path)
    with serving(make_app(tmp_path, READY_REQUIRES=requires, DATABASE_URL=address)) as url:
        async with connect(url) as client:
            assert (await client.get("/livez")).status_code == 200
            startup = await client.get("/startupz")
            assert (startup.status_code, startup.json()) == (503, {"status": "unavailable", "reasons": ["starting"]})
            assert (await client.get("/readyz")).status_code == 503
            report = await client.get("/health")
            assert (report.status_code, report.json()["status"]) == (503, "unhealthy")
            assert report.json()["checks"]["database"]["error"].endswith("Error")
            assert address.rpartition("/")[2] not in report.text
            async with asyncio.timeout(10):
                while "database is not ready" not in {line["event"] for line in logs.of_level("warning")}:
                    await asyncio.sleep(0.01)

            appear(tmp_path)
            await _eventually(client, "/startupz", 200)
            await _eventually(client, "/readyz", 200)


@pytest.mark.parametrize(("requires", "ready"), [("", 200), ("database", 503)])
async def test_readiness_follows_the_database_only_where_told(tmp_path: Path, requires: str, ready: int) -> None:
    with serving(make_app(tmp_path, READY_REQUIRES=requires)) as url:
        async with connect(url) as client:
            assert (await client.get("/readyz")).status_code == 200
            destroy_database(tmp_path)
            await _eventually(client, "/health", 503)
            assert (await client.get("/readyz")).status_code == ready
            assert (await client.get("/startupz")).status_code == 200
            assert (await client.get("/livez")).status_code == 200


async def test_draining_is_not_ready(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    with serving(app) as url:
        async with connect(url) as client:
            app.state.lifecycle.draining = True
            response = await client.get("/readyz")
            assert (response.status_code, response.json()["reasons"]) == (503, ["draining"])
            assert (await client.get("/livez")).status_code == 200
