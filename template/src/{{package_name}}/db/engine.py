"""The engine: the pool of connections, and what each new connection is told."""

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

BUSY_TIMEOUT_MS = 5_000
"""How long a SQLite writer waits for another before it gives up."""


def create_engine(url: str) -> AsyncEngine:
    """An engine on `url`; connections are made when they are first needed.

    Parameters of statements never appear in exceptions or logs: they are what users typed.
    """
    engine = create_async_engine(url, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def create_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """A factory of sessions whose objects stay readable after the commit, when the answer is rendered."""
    return async_sessionmaker(engine, expire_on_commit=False)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver would begin a transaction before the first write alone: reads would see what others commit in between,
    # and a savepoint before it would be the transaction, committed with its release.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Readers do not block the writer, nor the writer them.
    cursor.execute("PRAGMA journal_mode = WAL")
    # Off by default in SQLite, for compatibility with its first versions.
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
