"""Whether the database answers."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from .dialect import PING


async def ping(engine: AsyncEngine) -> None:
    """Ask for next to nothing; raises whatever the driver does."""
    async with engine.connect() as connection:
        await connection.execute(text(PING))
