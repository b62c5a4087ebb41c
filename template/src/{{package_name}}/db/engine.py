"""The engine: the pool of connections."""

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from .dialect import prepare


def create_engine(url: str) -> AsyncEngine:
    """An engine on `url`; connections are made when they are first needed.

    Parameters of statements never appear in exceptions or logs: they are what users typed.
    """
    engine = create_async_engine(url, hide_parameters=True)
    prepare(engine)
    return engine


def create_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """A factory of sessions whose objects stay readable after the commit, when the answer is rendered."""
    return async_sessionmaker(engine, expire_on_commit=False)
