"""The tables, made at the start where they are missing."""

from sqlalchemy.ext.asyncio import AsyncEngine

from .base import Base


async def create_tables(engine: AsyncEngine) -> None:
    """Create every table that does not exist yet; those that do are left alone."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
