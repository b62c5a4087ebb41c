"""What is special about PostgreSQL: each of its failures, provoked for real with both drivers, and what becomes of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tests.db.conftest import INSERT, NEW, ROWS, SECRET, THINGS, Provoke
from tests.subject import (
    Event,
    RetryScheduled,
    ServiceUnavailableError,
    Transactions,
    create_engine,
    create_sessions,
    database,
    dialect,
)
from tests.support.database import execute, url_of

LIMITS = dialect.Limits(
    pool_size=3, max_overflow=0, pool_timeout=0.1, lock_timeout=0.2, statement_timeout=0.4, connect_timeout=1.0
)


def _psycopg(url: str) -> AsyncEngine:
    """An engine with the limits of ours on the other driver."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=3,
        max_overflow=0,
        pool_timeout=0.1,
        connect_args={"connect_timeout": 2, "options": "-c lock_timeout=200ms -c statement_timeout=400ms"},
    )


DRIVERS: dict[str, Callable[[str], AsyncEngine]] = {
    "asyncpg": lambda url: create_engine(url, LIMITS),
    "psycopg": _psycopg,
}


@asynccontextmanager
async def _things(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    try:
        async with engine.begin() as connection:
            await connection.run_sync(THINGS.metadata.create_all)
            await connection.execute(insert(THINGS), ROWS)
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with _things(create_engine(url_of(tmp_path), LIMITS)) as engine:
        yield engine


Condition = Callable[[AsyncEngine], Awaitable[None]]


def _statement(statement: str, **values: object) -> Condition:
    async def run(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement), values)

    return run


def _insert(**values: object) -> Condition:
    return _statement(INSERT, **NEW | values)


async def _locked(engine: AsyncEngine) -> None:
    async with engine.begin() as other:
        await other.execute(text("UPDATE things SET size = 2 WHERE id = 1"))
        await _statement("UPDATE things SET size = 3 WHERE id = 1")(engine)


async def _deadlock(engine: AsyncEngine) -> None:
    execute(f"ALTER DATABASE {engine.url.database} SET deadlock_timeout = '50ms'")
    await engine.dispose()
    update = text("UPDATE things SET size = 2 WHERE id = :id")
    async with engine.connect() as one, engine.connect() as other:
        await one.execute(update, {"id": 1})
        await other.execute(update, {"id": 2})
        ends = await asyncio.gather(
            one.execute(update, {"id": 2}), other.execute(update, {"id": 1}), return_exceptions=True
        )
    [loser] = [end for end in ends if isinstance(end, Exception)]
    raise loser


async def _lost_race(engine: AsyncEngine) -> None:
    async with engine.connect() as late, engine.begin() as fast:
        await late.execution_options(isolation_level="SERIALIZABLE")
        await late.execute(text("SELECT size FROM things"))
        await fast.execute(text("UPDATE things SET size = 2"))
        await fast.commit()
        await late.execute(text("UPDATE things SET size = 3"))


async def _no_free_connection(engine: AsyncEngine) -> None:
    async with engine.connect(), engine.connect(), engine.connect():
        await _statement("SELECT 1")(engine)


async def _ended(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        execute(f"SELECT pg_terminate_backend({process})")
        await connection.execute(text("SELECT 1"))


async def _no_room(engine: AsyncEngine) -> None:
    await engine.dispose()
    execute(f"ALTER DATABASE {engine.url.database} CONNECTION LIMIT 0")
    await _statement("SELECT 1")(engine)


def _elsewhere(host: str, port: int) -> Condition:
    async def run(engine: AsyncEngine) -> None:
        url = engine.url.set(host=host, port=port, username=SECRET, password=SECRET)
        await _statement("SELECT 1")(DRIVERS[engine.dialect.driver](url.render_as_string(hide_password=False)))

    return run


CONFLICT = (409, "conflict", "conflict")
UNPROCESSABLE = (422, "unprocessable", "validation")
UNAVAILABLE = (503, "service_unavailable", "service_unavailable")
BUG = (500, "internal_error", "internal")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(_insert(name=SECRET), (*CONFLICT, "label"), id="unique"),
        pytest.param(_insert(id=1), CONFLICT, id="primary key"),
        pytest.param(_insert(parent=77), CONFLICT, id="foreign key"),
        pytest.param(_insert(size=0), (*UNPROCESSABLE, "amount"), id="check"),
        pytest.param(_insert(name=None), UNPROCESSABLE, id="not null"),
        pytest.param(_insert(name=SECRET * 2), UNPROCESSABLE, id="too long"),
        pytest.param(_insert(size=70_000), UNPROCESSABLE, id="out of range"),
        pytest.param(_statement("SELECT 1 / (size - size) FROM things"), UNPROCESSABLE, id="division by zero"),
        pytest.param(_statement("SELECT pg_sleep(5)"), UNAVAILABLE, id="statement timeout"),
        pytest.param(_locked, UNAVAILABLE, id="lock timeout"),
        pytest.param(_deadlock, UNAVAILABLE, id="deadlock"),
        pytest.param(_lost_race, UNAVAILABLE, id="serialization"),
        pytest.param(_no_free_connection, UNAVAILABLE, id="no free connection"),
        pytest.param(_ended, UNAVAILABLE, id="connection ended"),
        pytest.param(_no_room, UNAVAILABLE, id="too many connections"),
        pytest.param(_elsewhere("127.0.0.1", 1), UNAVAILABLE, id="refused"),
        pytest.param(_elsewhere("no-such-host.invalid", 5432), UNAVAILABLE, id="no such host"),
        pytest.param(_statement("SELECT nothing FROM nowhere"), BUG, id="missing table"),
        pytest.param(_statement("SELEC"), BUG, id="syntax"),
    ],
)
async def test_what_becomes_of_a_failure(
    tmp_path: Path, provoke: Provoke, driver: str, condition: Condition, expected: tuple[object, ...]
) -> None:
    async def work() -> None:
        async with _things(DRIVERS[driver](url_of(tmp_path))) as engine:
            await condition(engine)

    seen = await provoke(work)
    assert (seen.status, seen.code, seen.category, seen.field)[: len(expected)] == expected


async def test_a_deadlock_is_run_again_and_succeeds(engine: AsyncEngine, tmp_path: Path) -> None:
    execute(f"ALTER DATABASE {engine.url.database} SET deadlock_timeout = '50ms'")
    await engine.dispose()
    events: list[Event] = []
    transactions = Transactions(create_sessions(engine), events.append, asyncio.sleep)
    both = asyncio.Barrier(2)
    met = False

    async def swap(first: int, second: int) -> None:
        async def work(session: AsyncSession) -> None:
            nonlocal met
            await session.execute(text("UPDATE things SET size = size + 1 WHERE id = :id"), {"id": first})
            if not met:
                await both.wait()
                met = True
            await session.execute(text("UPDATE things SET size = size + 1 WHERE id = :id"), {"id": second})

        await transactions.run(work)

    await asyncio.gather(swap(1, 2), swap(2, 1))
    async with engine.connect() as connection:
        assert list(await connection.scalars(text("SELECT size FROM things ORDER BY id"))) == [3, 3]
    assert [type(event) for event in events] == [RetryScheduled]


async def test_connections_that_ended_while_nobody_used_them_cost_no_request(engine: AsyncEngine) -> None:
    async with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            await connection.execute(text("SELECT 1"))
    execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{engine.url.database}'")
    for _ in range(3):
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_the_server_ends_what_nobody_waits_for(tmp_path: Path) -> None:
    engine = create_engine(url_of(tmp_path))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))
    active = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{engine.url.database}'"
    async with asyncio.timeout(4):
        while execute(active):
            await asyncio.sleep(0.1)
    await engine.dispose()


async def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+asyncpg://x@127.0.0.1:{silent.getsockname()[1]}/x"
        engine = create_engine(url, dialect.Limits(connect_timeout=0.2))
        with pytest.raises(ServiceUnavailableError):
            async with asyncio.timeout(2):
                await _statement("SELECT 1")(engine)
        await engine.dispose()


async def test_a_transaction_left_open_ends(tmp_path: Path) -> None:
    engine = create_engine(url_of(tmp_path), dialect.Limits(idle_in_transaction_timeout=0.1))
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        await asyncio.sleep(0.4)
        with pytest.raises(SQLAlchemyError) as raised:
            await connection.execute(text("SELECT 1"))
    assert isinstance(database.translate(raised.value), ServiceUnavailableError)
    await engine.dispose()


async def test_a_connection_lost_during_the_commit_is_not_tried_again(engine: AsyncEngine) -> None:
    """Nobody knows what has become of it."""
    function = "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END"
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS '{function}'"))
        await connection.execute(
            text("""CREATE CONSTRAINT TRIGGER at_the_commit AFTER UPDATE ON things DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION die()""")
        )
    attempts = 0

    async def work(session: AsyncSession) -> None:
        nonlocal attempts
        attempts += 1
        await session.execute(text("UPDATE things SET size = 2 WHERE id = 1"))

    with pytest.raises(ServiceUnavailableError):
        await Transactions(create_sessions(engine), lambda _: None, asyncio.sleep).run(work)
    assert attempts == 1
