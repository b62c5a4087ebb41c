"""The engine: the pool of connections, and what each new connection is told."""

import asyncio
from typing import Any

from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.util import await_only

BUSY_TIMEOUT_MS = 5_000
"""How long a SQLite writer waits for another before it gives up."""


def create_engine(url: str) -> AsyncEngine:
    """An engine on `url`; connections are made when they are first needed.

    Parameters of statements never appear in exceptions or logs: they are what users typed.
    """
    engine = create_async_engine(url, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "handle_error", _interrupt_sqlite)
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


def _interrupt_sqlite(context: ExceptionContext) -> None:
    # Whoever was cancelled would otherwise wait for the end of the statement, for which nobody waits any more: the
    # connection is given back by the thread that works on it.
    if isinstance(context.original_exception, asyncio.CancelledError) and context.connection is not None:
        driver: Any = context.connection.connection.driver_connection
        await_only(driver.interrupt())
