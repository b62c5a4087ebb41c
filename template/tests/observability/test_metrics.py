"""Requests and errors are counted under labels that cannot grow."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.subject import finished
from tests.support import failing
from tests.support.environment import make_app
from tests.support.failing import SECRET
from tests.support.server import connect, serving


@pytest.fixture(params=["true", "false"])
def counted_service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    app = make_app(tmp_path, ERROR_HANDLING_ENABLE_ERROR_METRICS=request.param)
    app.include_router(failing.router)
    with serving(app) as url:
        yield url


@pytest.fixture
async def counted(counted_service: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(counted_service) as client:
        yield client


async def _samples(client: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def _requests(method: str, route: str, status: int) -> tuple[str, frozenset[tuple[str, str]]]:
    labels = {"method": method, "route": route, "status": str(status)}
    return "http_server_request_duration_seconds_count", frozenset(labels.items())


async def test_requests_are_counted_by_template(counted: httpx.AsyncClient) -> None:
    for number in range(3):
        await counted.get(f"/fail/http/{400 + number}")
        await counted.get(f"/nowhere/{number}")
    await counted.request("PURGE", "/nowhere")
    samples = await _samples(counted)
    assert samples[_requests("GET", "/fail/http/{status}", 401)] == 1
    assert samples[_requests("GET", "unmatched", 404)] == 3
    assert samples[_requests("other", "unmatched", 404)] == 1
    assert samples["http_server_active_requests", frozenset()] == 1
    assert any(name == "build_info" for name, _ in samples)


async def test_a_scrape_counts_every_answer_that_is_out(
    counted: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished, "DELAY_SECONDS", 60.0)
    for number in range(5):
        await counted.get(f"/fail/http/{410 + number}")
    samples = await _samples(counted)
    assert [samples[_requests("GET", "/fail/http/{status}", 410 + number)] for number in range(5)] == [1] * 5


async def test_errors_are_counted_when_asked_for(counted: httpx.AsyncClient, request: pytest.FixtureRequest) -> None:
    await counted.get("/fail/endpoint")
    await counted.get("/fail/domain/missing")
    samples = await _samples(counted)
    errors = {labels: value for (name, labels), value in samples.items() if name == "application_errors_total"}
    if request.node.callspec.params["counted_service"] == "false":
        assert errors == {}
        return
    foreign = {"error_type": "RuntimeError", "category": "internal", "severity": "medium"}
    missing = {"error_type": "NotFoundError", "category": "not_found", "severity": "low"}
    assert errors == {frozenset(foreign.items()): 1, frozenset(missing.items()): 1}
    handled = ("error_handling_duration_seconds_count", frozenset({("error_type", "RuntimeError")}))
    assert samples[handled] == 1


async def test_two_apps_in_one_process_count_for_themselves(tmp_path: Path, counted: httpx.AsyncClient) -> None:
    await counted.get("/livez")
    other = make_app(tmp_path)
    assert b"/livez" not in other.state.metrics.exposition()


async def test_nothing_that_a_request_brought_is_a_label(failing_client: httpx.AsyncClient) -> None:
    secrets = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}", "X-Request-ID": SECRET}
    for path in ("quoting", "endpoint", "domain/conflict", SECRET):
        await failing_client.get(f"/fail/{path}", params={"token": SECRET}, headers=secrets)
    await failing_client.post("/fail/login", json={"user": SECRET, "password": SECRET})
    exposition = (await failing_client.get("/metrics")).text
    assert "application_errors_total{" in exposition
    assert SECRET not in exposition
