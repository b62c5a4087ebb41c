"""What is special about SQLite: each of its failures, provoked for real, and what becomes of it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.db.conftest import INSERT, NEW, ROWS, SECRET, THINGS, Provoke
from tests.subject import create_engine, dialect, schema
from tests.support.database import LONG_STATEMENT, url_of

LIMITS = dialect.Limits(pool_size=2, max_overflow=0, pool_timeout=0.1, lock_timeout=0.1)

CONFLICT = (409, "conflict", "conflict")
UNPROCESSABLE = (422, "unprocessable", "validation")
UNAVAILABLE = (503, "service_unavailable", "service_unavailable")
BUG = (500, "internal_error", "internal")

Condition = Callable[[AsyncEngine, Path], Awaitable[None]]


def _statement(statement: str, **values: object) -> Condition:
    async def run(engine: AsyncEngine, _: Path) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement), values)

    return run


def _insert(**values: object) -> Condition:
    return _statement(INSERT, **NEW | values)


async def _locked(engine: AsyncEngine, folder: Path) -> None:
    async with engine.begin() as other:
        await other.execute(text("UPDATE things SET size = 2"))
        await _statement("UPDATE things SET size = 3")(engine, folder)


async def _lost_race(engine: AsyncEngine, folder: Path) -> None:
    async with engine.begin() as late:
        await late.execute(text("SELECT size FROM things"))
        await _statement("UPDATE things SET size = 2")(engine, folder)
        await late.execute(text("UPDATE things SET size = 3"))


async def _no_free_connection(engine: AsyncEngine, folder: Path) -> None:
    async with engine.connect(), engine.connect():
        await _statement("SELECT 1")(engine, folder)


async def _full(engine: AsyncEngine, _: Path) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1"))
        await connection.execute(text("CREATE TABLE more AS SELECT hex(zeroblob(100000)) AS text"))


async def _no_folder(_: AsyncEngine, folder: Path) -> None:
    elsewhere = create_engine(f"sqlite+aiosqlite:///{folder}/{SECRET}/test.db")
    await _statement("SELECT 1")(elsewhere, folder)


async def _no_database(_: AsyncEngine, folder: Path) -> None:
    (folder / "garbage").write_text(SECRET * 1000)
    await _statement("SELECT 1")(create_engine(f"sqlite+aiosqlite:///{folder}/garbage"), folder)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(_insert(name=SECRET), (*CONFLICT, "label"), id="unique"),
        pytest.param(_insert(id=1), CONFLICT, id="primary key"),
        pytest.param(_insert(parent=77), CONFLICT, id="foreign key"),
        pytest.param(_insert(size=0), (*UNPROCESSABLE, "amount"), id="check"),
        pytest.param(_insert(name=None), UNPROCESSABLE, id="not null"),
        pytest.param(_insert(size=2**70), UNPROCESSABLE, id="out of range"),
        pytest.param(_locked, UNAVAILABLE, id="lock timeout"),
        pytest.param(_lost_race, UNAVAILABLE, id="lost race"),
        pytest.param(_no_free_connection, UNAVAILABLE, id="no free connection"),
        pytest.param(_full, UNAVAILABLE, id="disk full"),
        pytest.param(_no_folder, UNAVAILABLE, id="no such folder"),
        pytest.param(_no_database, UNAVAILABLE, id="no database"),
        pytest.param(_statement("SELECT nothing FROM nowhere"), BUG, id="missing table"),
        pytest.param(_statement("SELEC"), BUG, id="syntax"),
    ],
)
async def test_what_becomes_of_a_failure(
    tmp_path: Path, provoke: Provoke, condition: Condition, expected: tuple[object, ...]
) -> None:
    async def work() -> None:
        engine = create_engine(url_of(tmp_path), LIMITS)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(THINGS.metadata.create_all)
                await connection.execute(insert(THINGS), ROWS)
            await condition(engine, tmp_path)
        finally:
            await engine.dispose()

    seen = await provoke(work)
    assert (seen.status, seen.code, seen.category, seen.field)[: len(expected)] == expected


CHILDREN = "CREATE TABLE children (parent INTEGER REFERENCES parents (id) ON DELETE CASCADE)"

CHANGE = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "children", None
branch_labels = depends_on = None
def upgrade():
    with op.batch_alter_table("parents", recreate="always") as parents:
        parents.add_column(sa.Column("name", sa.String()))
"""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url_of(tmp_path), dialect.Limits(lock_timeout=1.5))
    yield engine
    await engine.dispose()


async def test_connections_are_prepared(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        values = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("foreign_keys", "journal_mode", "busy_timeout")
        ]
    assert values == [1, "wal", 1500]


async def test_the_first_connections_to_a_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    """One of them changes the mode of the file, which locks out the others for a moment."""
    first, other = tmp_path / "first.db", create_engine(f"sqlite+aiosqlite:///{tmp_path}/first.db", LIMITS)
    with closing(sqlite3.connect(first, isolation_level=None)) as changing:
        changing.execute("BEGIN EXCLUSIVE")
        async with other.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await other.dispose()


async def test_a_transaction_reads_one_state_of_the_database(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (text TEXT)"))
    count = text("SELECT count(*) FROM notes")
    async with engine.connect() as reader:
        assert (await reader.execute(count)).scalar_one() == 0
        async with engine.begin() as writer:
            await writer.execute(text("INSERT INTO notes (text) VALUES ('from elsewhere')"))
        assert (await reader.execute(count)).scalar_one() == 0
    async with engine.connect() as reader:
        assert (await reader.execute(count)).scalar_one() == 1


async def test_whoever_is_cancelled_locks_nobody_out(engine: AsyncEngine) -> None:
    """Not even while the traceback, and a cursor in it, waits for the garbage collector."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (text TEXT)"))

    async def note(then: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO notes (text) VALUES ('')"))
            await connection.execute(text(then))

    task = asyncio.create_task(note(LONG_STATEMENT))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await note("SELECT 1")
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM notes"))).scalar_one() == 1


async def test_nor_does_a_statement_that_has_rows_left(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (text TEXT)"))
        await connection.execute(text("INSERT INTO notes (text) VALUES ('first'), ('second')"))
    reading = asyncio.Event()

    async def never_end(_: object) -> None:
        reading.set()
        await asyncio.Event().wait()

    async def change() -> None:
        async with engine.begin() as connection:
            with monkeypatch.context() as patched:
                patched.setattr("aiosqlite.Cursor.fetchall", never_end)
                await connection.execute(text("UPDATE notes SET text = '' RETURNING text"))

    task = asyncio.create_task(change())
    await reading.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    async with engine.begin() as connection:
        assert (await connection.execute(text("DELETE FROM notes WHERE text > ''"))).rowcount == 2


async def test_a_table_that_is_made_anew_keeps_what_refers_to_it(
    tmp_path: Path, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite changes a table by making it anew; with foreign keys on, dropping the old one would empty others."""
    with closing(sqlite3.connect(tmp_path / "test.db")) as database:
        database.executescript(
            f"CREATE TABLE parents (id INTEGER PRIMARY KEY); {CHILDREN};"
            "INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)"
        )
    migrations = tmp_path / "migrations"
    (migrations / "versions").mkdir(parents=True)
    (migrations / "env.py").write_text((schema.MIGRATIONS / "env.py").read_text())
    (migrations / "versions" / "change.py").write_text(CHANGE)
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    await schema.migrate(url_of(tmp_path))
    with closing(sqlite3.connect(tmp_path / "test.db")) as database:
        assert database.execute("SELECT count(*) FROM children").fetchone() == (1,)


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite:///x.db"])
def test_a_database_that_connections_would_not_share_is_refused(url: str) -> None:
    assert not dialect.is_ours(make_url(url))
