"""Whether the database answers."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

# SQLite answers a constant without a look at its file.
QUESTIONS = {"sqlite": "SELECT 1 FROM sqlite_master LIMIT 1"}


async def ping(engine: AsyncEngine) -> None:
    """Ask for next to nothing; raises whatever the driver does."""
    async with engine.connect() as connection:
        await connection.execute(text(QUESTIONS.get(engine.dialect.name, "SELECT 1")))
