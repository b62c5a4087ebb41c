"""More requests than the service can serve, and callers that wait for less than it would take."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import failing
from tests.support.bodies import read_error
from tests.support.environment import make_app
from tests.support.server import connect, serving


@pytest.fixture(scope="module")
def small_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a service that serves two requests at a time."""
    app = make_app(tmp_path_factory.mktemp("small"), MAX_ACTIVE_REQUESTS="2")
    app.include_router(failing.router)
    with serving(app) as url:
        yield url


async def test_one_request_too_many_is_refused_at_once_and_probes_are_not(small_service: str) -> None:
    async with connect(small_service) as client:
        slow = [asyncio.create_task(client.get("/fail/slow?seconds=0.5")) for _ in range(2)]
        await asyncio.sleep(0.2)
        refused = await client.get("/fail/slow?seconds=0")
        probes = [(await client.get(path)).status_code for path in ("/livez", "/readyz", "/startupz", "/health")]
        served = [(await task).status_code for task in slow]
        after = await client.get("/fail/slow?seconds=0")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert read_error(refused).code == "overloaded"
    assert refused.headers["x-request-id"]
    assert probes == [200] * 4
    assert served == [200, 200]
    assert after.status_code == 200


async def test_nobody_works_longer_than_the_caller_waits(small_service: str) -> None:
    async with connect(small_service) as client:
        begin = time.monotonic()
        response = await client.get("/fail/slow?seconds=10", headers={"X-Request-Timeout-Ms": "100"})
        assert time.monotonic() - begin < 5
    assert (response.status_code, read_error(response).code) == (504, "timeout")


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e3", "9" * 5000])
async def test_what_is_no_number_of_milliseconds_is_ignored(small_service: str, value: str) -> None:
    async with connect(small_service) as client:
        response = await client.get("/fail/slow?seconds=0", headers={"X-Request-Timeout-Ms": value})
    assert response.status_code == 200


async def test_probes_have_all_the_time_there_is(small_service: str) -> None:
    async with connect(small_service) as client:
        for path in ("/livez", "/readyz", "/startupz", "/health"):
            assert (await client.get(path, headers={"X-Request-Timeout-Ms": "0"})).status_code == 200


async def test_probes_answer_while_every_thread_is_taken(tmp_path: Path) -> None:
    release = threading.Event()
    app = make_app(tmp_path)

    @app.get("/block")
    def block() -> str:
        release.wait(30)
        return "done"

    with serving(app) as url:
        async with connect(url) as client:
            blocked = [asyncio.create_task(client.get("/block", timeout=60)) for _ in range(60)]
            try:
                await asyncio.sleep(0.5)
                for path in ("/livez", "/readyz", "/startupz", "/health"):
                    assert (await client.get(path, timeout=5)).status_code == 200
                assert not any(task.done() for task in blocked)
            finally:
                release.set()
                await asyncio.gather(*blocked)


async def test_a_caller_cannot_ask_for_more_than_there_is(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.get("/fail/slow?seconds=10", headers={"X-Request-Timeout-Ms": "60000"})
    assert response.status_code == 504
