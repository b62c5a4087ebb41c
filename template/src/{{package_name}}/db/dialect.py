"""What is special about SQLite: its connections, its transactions and its errors."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

PING = "SELECT 1 FROM sqlite_master LIMIT 1"
"""Next to nothing, but not a constant: SQLite answers one without a look at its file."""

BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another before it gives up."""


WRITING = {"begin": "BEGIN IMMEDIATE"}
"""Options of a transaction that will write. One that begins with reading cannot write after another one has."""


def prepare(engine: AsyncEngine) -> None:
    """Make the connections of `engine` behave."""
    event.listen(engine.sync_engine, "connect", _prepare_connection)
    event.listen(engine.sync_engine, "begin", _begin)
    event.listen(engine.sync_engine, "handle_error", _interrupt)


@contextmanager
def migrating(connection: Connection) -> Iterator[None]:
    """A transaction for migrations, one at a time."""
    cursor = connection.connection.cursor()
    # A table is changed by making it anew, and its rows must not go from other tables when the old one is dropped.
    # Inside of a transaction this would do nothing.
    cursor.execute("PRAGMA foreign_keys = OFF")
    try:
        with connection.execution_options(**WRITING).begin():
            yield
    finally:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()


def _prepare_connection(connection: Any, _: Any) -> None:
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


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _interrupt(context: ExceptionContext) -> None:
    # Whoever was cancelled would otherwise wait for the end of the statement, for which nobody waits any more: the
    # connection is given back by the thread that works on it.
    if isinstance(context.original_exception, asyncio.CancelledError) and context.connection is not None:
        driver: Any = context.connection.connection.driver_connection
        await_only(driver.interrupt())
