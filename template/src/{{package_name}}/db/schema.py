"""The schema of the database: which migrations it has, and which it needs."""

import asyncio
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic keeps what it is doing in globals.
_one_at_a_time = threading.Lock()


class SchemaOutdatedError(Exception):
    """The database lacks migrations that this version of the service needs."""


async def migrate(url: str) -> None:
    """Run the migrations that the database at `url` has not had. Two who do so at the same time take turns."""
    await asyncio.to_thread(_upgrade, url)


async def require_schema(engine: AsyncEngine) -> str:
    """The newest migration that the database has had.

    One that we do not know is no obstacle: a newer version of the service has been here, and while a release is rolled
    out, or back, both have to live with what it made.

    Raises:
        SchemaOutdatedError: it is an older one than we need.
    """
    async with engine.connect() as connection:
        present = await connection.run_sync(_present)
    scripts = ScriptDirectory.from_config(_config())
    needed = scripts.get_current_head() or ""
    known = {script.revision for script in scripts.walk_revisions()}
    if present != needed and (not present or present in known):
        raise SchemaOutdatedError(
            f"The schema is at {present or 'nothing'}, and {needed} is needed: run the migrations"
        )
    return present


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _upgrade(url: str) -> None:
    config = _config()
    config.attributes["url"] = url
    with _one_at_a_time:
        command.upgrade(config, "head")


def _present(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""
