"""A pool that is exhausted refuses within its timeout, and gets every connection back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.subject import (
    FAILURE_THRESHOLD,
    CircuitState,
    Events,
    Limits,
    PoolOpened,
    Session,
    create_breaker,
    create_engine,
    pool_states,
)
from tests.support.bodies import read_error
from tests.support.database import url_of
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving

HELD, TIMEOUT = 0.8, 0.2
router = APIRouter()


@router.get("/hold")
async def hold(session: Session) -> str:
    """Keep a connection for a while."""
    await session.execute(text("SELECT 1"))
    await asyncio.sleep(HELD)
    return "done"


@router.get("/without")
async def without() -> str:
    """Need no database."""
    return "done"


@pytest.fixture
def small_service(tmp_path: Path) -> Iterator[str]:
    app = make_app(tmp_path, DATABASE_POOL_SIZE="2", DATABASE_MAX_OVERFLOW="1", DATABASE_POOL_TIMEOUT=str(TIMEOUT))
    app.include_router(router)
    with serving(app) as url:
        yield url


@pytest.fixture
async def small(small_service: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(small_service) as client:
        yield client


async def test_who_finds_no_free_connection_is_refused_in_time(small: httpx.AsyncClient, logs: LogLines) -> None:
    async def timed() -> tuple[httpx.Response, float]:
        begin = time.monotonic()
        return await small.get("/hold"), time.monotonic() - begin

    answers = await asyncio.gather(*(timed() for _ in range(8)))
    assert sorted(answer.status_code for answer, _ in answers) == [200] * 3 + [503] * 5
    for answer, seconds in answers:
        if answer.status_code == 503:
            assert (read_error(answer).code, answer.headers["retry-after"]) == ("service_unavailable", "1")
            assert TIMEOUT <= seconds < HELD
    assert (await small.get("/without")).status_code == 200
    assert (await small.get("/hold")).status_code == 200
    again = await asyncio.gather(*(timed() for _ in range(3)))
    assert [answer.status_code for answer, _ in again] == [200] * 3


async def test_while_nobody_gets_a_connection_nobody_waits_for_one(small: httpx.AsyncClient) -> None:
    holding = [asyncio.create_task(small.get("/hold")) for _ in range(3)]
    await asyncio.sleep(TIMEOUT / 2)
    await asyncio.gather(*(small.get("/hold") for _ in range(FAILURE_THRESHOLD)))
    begin = time.monotonic()
    refused = await small.get("/hold")
    assert time.monotonic() - begin < TIMEOUT
    assert (refused.status_code, read_error(refused).code, refused.headers["retry-after"]) == (503, "circuit_open", "1")
    report = (await small.get("/health")).json()
    assert (report["status"], report["circuit_breakers"]["database"]["state"]) == ("unhealthy", "open")
    assert [answer.status_code for answer in await asyncio.gather(*holding)] == [200] * 3
    async with asyncio.timeout(5):
        while (report := (await small.get("/health")).json())["status"] != "healthy":
            await asyncio.sleep(0.05)
    database = report["circuit_breakers"]["database"]
    assert (database["state"], database["failure_count"]) == ("closed", 0)
    assert (await small.get("/hold")).status_code == 200


async def test_a_broken_constraint_or_statement_says_nothing_of_the_others(tmp_path: Path) -> None:
    breaker = create_breaker(Events())
    engine = create_engine(url_of(tmp_path), Limits(), breaker)
    for _ in range(FAILURE_THRESHOLD + 1):
        with pytest.raises(DBAPIError):
            async with engine.connect() as connection:
                await connection.execute(text("SELECT nothing FROM nowhere"))
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 0)
    await engine.dispose()


async def test_the_switch_for_breakers_is_for_this_one_too(tmp_path: Path) -> None:
    with serving(make_app(tmp_path, ERROR_HANDLING_CIRCUIT_BREAKER_ENABLED="false")) as url:
        async with connect(url) as client:
            assert "database" not in (await client.get("/health")).json()["circuit_breakers"]


async def test_a_client_that_leaves_takes_no_connection_along(small: httpx.AsyncClient) -> None:
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            await asyncio.gather(*(small.get("/hold", timeout=0.05) for _ in range(3)))
        await asyncio.sleep(HELD)
    answers = await asyncio.gather(*(small.get("/hold") for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3


async def test_the_states_of_the_pool_are_told(tmp_path: Path) -> None:
    limits = Limits(pool_size=2, max_overflow=1)
    engine = create_engine(url_of(tmp_path), limits)
    states = pool_states(engine, limits)

    def seen() -> dict[str, int]:
        return {state: read() for state, read in states.items()}

    async with engine.connect(), engine.connect():
        assert seen() == {"in_use": 2, "idle": 0, "unopened": 1}
    assert seen() == {"in_use": 0, "idle": 2, "unopened": 1}
    await engine.dispose()
    assert PoolOpened(states).states is states
