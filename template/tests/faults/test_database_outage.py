"""PostgreSQL is killed and comes back, while 50 requests a second arrive."""

import asyncio
import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.subject import (
    FAILURE_THRESHOLD,
    RECOVERY_SECONDS,
    Limits,
    ServiceUnavailableError,
    Session,
    create_engine,
    database,
    pool_states,
)
from tests.support.bodies import read_error
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving
from tools.postgres import Postgres, temporary_folder

RATE, BEFORE, DOWN, AFTER = 50, 0.8, 1.5, 1.6
SETTLED = 0.5
"""Seconds around the end of the server in which either answer is right."""
UNNOTICED = RECOVERY_SECONDS + 0.5
"""Seconds after its return in which the circuit may still be open."""

SECRET = "canary-4f9d2c71"
router = APIRouter()


@router.get("/ask")
async def ask(session: Session) -> int:
    """Need the database."""
    return int((await session.execute(text("SELECT 1"))).scalar_one())


@router.get("/process")
async def process(session: Session) -> int:
    """The server's process that serves us."""
    return int((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())


@router.get("/without")
async def without() -> str:
    """Need none."""
    return "done"


class Seen(NamedTuple):
    """An answer, and when its request was sent."""

    at: float
    path: str
    answer: httpx.Response


@pytest.fixture
def server() -> Iterator[Postgres]:
    folder = temporary_folder()
    server = Postgres(folder, durable=False)
    server.start()
    yield server
    server.stop(signal.SIGQUIT)
    shutil.rmtree(folder)


@pytest.fixture(params=["", "database"])
def requires(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(tmp_path: Path, server: Postgres, requires: str) -> Iterator[str]:
    app = make_app(tmp_path, DATABASE_URL=server.url(), READY_REQUIRES=requires)
    app.include_router(router)
    with serving(app) as url:
        yield url


@pytest.mark.parametrize("idle", [False, True], ids=["in use", "idle"])
async def test_a_server_that_stops_answering_is_not_waited_for(server: Postgres, idle: bool) -> None:
    """As behind a network that swallows everything: no limit of the server's own can help."""
    engine = create_engine(server.url(), Limits(pool_size=1, max_overflow=0, statement_timeout=0.1))
    stopped = 0

    async def ask_twice() -> None:
        nonlocal stopped
        async with asyncio.timeout(3), database.database_errors(), engine.connect() as connection:
            stopped = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            if idle:
                await connection.close()
            os.kill(stopped, signal.SIGSTOP)
            async with engine.connect() if idle else nullcontext(connection) as again:
                await again.execute(text("SELECT 1"))

    try:
        with pytest.raises(ServiceUnavailableError):
            await ask_twice()
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert pool_states(engine, Limits())["in_use"]() == 0
    await engine.dispose()


async def test_a_deadline_holds_while_the_server_does_not_answer(tmp_path: Path, server: Postgres) -> None:
    app = make_app(tmp_path, DATABASE_URL=server.url(), REQUEST_DEADLINE_SECONDS="0.5", DATABASE_POOL_SIZE="1")
    app.include_router(router)
    with serving(app) as url:
        async with connect(url) as client:
            stopped = (await client.get("/process")).json()
            os.kill(stopped, signal.SIGSTOP)
            begin = time.monotonic()
            answer = await client.get("/ask", timeout=10)
            lasted = time.monotonic() - begin
            os.kill(stopped, signal.SIGCONT)
            assert (answer.status_code, read_error(answer).code) == (504, "timeout")
            assert lasted < 1.0
            assert (await client.get("/ask")).status_code == 200


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_server_that_ends_takes_nobody_any_more(server: Postgres, driver: str) -> None:
    engine = create_engine(server.url())
    other = engine if driver == "asyncpg" else create_async_engine(engine.url.set(drivername="postgresql+psycopg"))

    async def ask() -> None:
        async with database.database_errors(), other.connect() as connection:
            await connection.execute(text("SELECT 1"))

    connection = await engine.connect()
    await connection.execute(text("SELECT 1"))
    ending = asyncio.create_task(asyncio.to_thread(server.stop, signal.SIGTERM))  # It waits for this connection.
    try:
        await asyncio.sleep(0.2)
        with pytest.raises(ServiceUnavailableError):
            await ask()
        assert not ending.done()
    finally:
        await connection.close()
        await engine.dispose()
        await ending


async def test_while_nobody_answers_nobody_waits(tmp_path: Path) -> None:
    """As behind a network that swallows everything: each connection would be waited for to the end of its timeout."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        app = make_app(
            tmp_path,
            DATABASE_URL=f"postgresql+asyncpg://x@127.0.0.1:{silent.getsockname()[1]}/x",
            DATABASE_CONNECT_TIMEOUT="2",
        )
        app.include_router(router)
        with serving(app) as url:
            async with connect(url) as client:
                ask = [asyncio.create_task(client.get("/ask", timeout=10)) for _ in range(FAILURE_THRESHOLD)]
                assert {(await one).status_code for one in ask} == {503}
                ask = [asyncio.create_task(client.get("/ask", timeout=10)) for _ in range(10)]
                # One of them may be the trial, which waits.
                refused, _ = await asyncio.wait(ask, timeout=1.0)
                assert len(refused) >= len(ask) - 1
                assert {read_error(one.result()).code for one in refused} == {"circuit_open"}
                report = (await client.get("/health")).json()
                assert report["status"] == "unhealthy"
                assert report["circuit_breakers"]["database"]["state"] != "closed"
                await asyncio.gather(*ask)


async def _status(client: httpx.AsyncClient, path: str, status: int) -> None:
    async with asyncio.timeout(5):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0.05)


async def test_down_and_up_under_load(service: str, server: Postgres, requires: str, logs: LogLines) -> None:
    begin = time.monotonic()
    seen: list[Seen] = []

    async def send(client: httpx.AsyncClient, path: str) -> None:
        at = time.monotonic() - begin
        seen.append(Seen(at, path, await client.get(path, timeout=10)))

    async def load(client: httpx.AsyncClient) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(round(RATE * (BEFORE + DOWN + AFTER))):
                await asyncio.sleep(max(0.0, begin + number / RATE - time.monotonic()))
                tasks.create_task(send(client, "/without" if number % 10 == 0 else "/ask"))

    async with connect(service) as client:
        assert (await client.get("/startupz")).status_code == 200
        loading = asyncio.create_task(load(client))
        await asyncio.sleep(BEFORE)
        await asyncio.to_thread(server.stop, signal.SIGQUIT)
        stopped = time.monotonic() - begin
        await _status(client, "/health", 503)
        async with asyncio.timeout(5):
            while (await client.get("/health")).json()["circuit_breakers"]["database"]["state"] == "closed":
                await asyncio.sleep(0.05)
        assert (await client.get("/readyz")).status_code == (503 if requires else 200)
        assert (await client.get("/livez")).status_code == 200
        await asyncio.sleep(max(0.0, begin + BEFORE + DOWN - time.monotonic()))
        started = time.monotonic() - begin
        await asyncio.to_thread(server.start)
        returned = time.monotonic() - begin
        await loading
        await _status(client, "/health", 200)
        assert (await client.get("/readyz")).status_code == 200
        # Every connection has come back: more at once than the pool may ever have open would wait in vain.
        again = await asyncio.gather(*(client.get("/ask") for _ in range(30)))
        assert Counter(answer.status_code for answer in again) == {200: 30}
        database = (await client.get("/health")).json()["circuit_breakers"]["database"]
        assert (database["state"], database["failure_count"]) == ("closed", 0)

    assert all(one.answer.status_code == 200 for one in seen if one.path == "/without")
    asked = [one for one in seen if one.path == "/ask"]
    assert {one.answer.status_code for one in asked} == {200, 503}
    for at, _, answer in asked:
        if at < BEFORE - SETTLED or at > returned + UNNOTICED:
            assert answer.status_code == 200
        elif stopped < at and at + answer.elapsed.total_seconds() < started:
            assert answer.status_code == 503
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            assert str(server.port) not in answer.text
    codes = Counter(read_error(one.answer).code for one in asked if one.answer.status_code == 503)
    assert codes.keys() == {"service_unavailable", "circuit_open"}
    assert codes["circuit_open"] > codes["service_unavailable"]
    assert len([line for line in logs.of_level("error") if "exception" in line]) >= codes["service_unavailable"]
    changes = [line["state"] for line in logs.of_level("warning") if line.get("breaker") == "database"]
    assert (changes[0], changes[-1]) == ("open", "closed")
