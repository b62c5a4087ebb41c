"""Whole transactions: committed or not at all, and run again where the database has undone one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from tests.subject import (
    ConflictError,
    Event,
    RetryBudgetExhausted,
    RetryScheduled,
    ServiceUnavailableError,
    Transactions,
    create_engine,
    create_sessions,
    database,
)
from tests.support.database import url_of


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url_of(tmp_path))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER)"))
        await connection.execute(text("INSERT INTO counters VALUES ('a', 0)"))
    yield engine
    await engine.dispose()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def transactions(engine: AsyncEngine, events: list[Event]) -> Transactions:
    return Transactions(create_sessions(engine), events.append, lambda _: asyncio.sleep(0))


async def _increment(session: AsyncSession) -> int:
    changed = await session.execute(text("UPDATE counters SET value = value + 1 RETURNING value"))
    return int(changed.scalar_one())


async def _value(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT value FROM counters"))).scalar_one())


async def _lost_race(engine: AsyncEngine) -> DBAPIError:
    """What the database says to a transaction that changes what another one has changed since it was read."""
    async with engine.connect() as late, engine.connect() as fast:
        await late.execution_options(isolation_level="SERIALIZABLE")
        await late.execute(text("SELECT value FROM counters"))
        await fast.execute(text("UPDATE counters SET value = value + 1"))
        await fast.commit()
        with pytest.raises(DBAPIError) as raised:
            await late.execute(text("UPDATE counters SET value = value"))
    return raised.value


class Races:
    """Work that loses as often as told."""

    def __init__(self, lost: DBAPIError, times: int) -> None:
        self._lost = lost
        self._left = times
        self.attempts = 0

    async def __call__(self, session: AsyncSession) -> int:
        self.attempts += 1
        value = await _increment(session)
        if self._left:
            self._left -= 1
            raise self._lost
        return value


@pytest.fixture
async def lost(engine: AsyncEngine) -> DBAPIError:
    return await _lost_race(engine)


async def test_the_database_tells_of_a_lost_race(lost: DBAPIError) -> None:
    assert database.lost_a_race(lost)


async def test_what_is_done_at_the_same_time_is_done_one_after_the_other(
    engine: AsyncEngine, transactions: Transactions
) -> None:
    results = await asyncio.gather(*(transactions.run(_increment) for _ in range(20)))
    assert sorted(results) == list(range(1, 21))
    assert await _value(engine) == 20


async def test_a_lost_race_is_run_again(lost: DBAPIError, transactions: Transactions, events: list[Event]) -> None:
    work = Races(lost, 2)
    assert await transactions.run(work) == 2
    assert work.attempts == 3
    assert [type(event) for event in events] == [RetryScheduled] * 2


async def test_but_not_for_ever(lost: DBAPIError, transactions: Transactions) -> None:
    work = Races(lost, 10)
    with pytest.raises(ServiceUnavailableError) as raised:
        await transactions.run(work)
    assert (work.attempts, raised.value.headers) == (4, {"Retry-After": "1"})


async def test_nor_by_everybody(lost: DBAPIError, transactions: Transactions, events: list[Event]) -> None:
    """Races are lost most often when there is most to do."""
    attempts = []
    for _ in range(6):
        work = Races(lost, 10)
        with pytest.raises(ServiceUnavailableError):
            await transactions.run(work)
        attempts.append(work.attempts)
    assert attempts == [4, 1, 1, 1, 1, 1]
    assert sum(isinstance(event, RetryBudgetExhausted) for event in events) == 5


@pytest.mark.parametrize("error", [ConflictError("Thing"), RuntimeError("bug"), asyncio.CancelledError()])
async def test_everything_else_is_raised_once_and_leaves_nothing(
    engine: AsyncEngine, transactions: Transactions, error: BaseException
) -> None:
    attempts = 0

    async def work(session: AsyncSession) -> None:
        nonlocal attempts
        attempts += 1
        await _increment(session)
        raise error

    with pytest.raises(type(error)):
        await transactions.run(work)
    assert (attempts, await _value(engine)) == (1, 0)
