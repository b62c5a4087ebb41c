"""The engine: the pool of connections."""

from collections.abc import Callable

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import QueuePool

from .dialect import Limits, options, prepare


def create_engine(url: str, limits: Limits = Limits()) -> AsyncEngine:  # noqa: B008 - it is frozen
    """An engine on `url`; connections are made when they are first needed.

    Parameters of statements never appear in exceptions or logs: they are what users typed.
    """
    engine = create_async_engine(
        make_url(url),
        hide_parameters=True,
        pool_size=limits.pool_size,
        max_overflow=limits.max_overflow,
        pool_timeout=limits.pool_timeout,
        **options(limits),
    )
    prepare(engine)
    return engine


def pool_states(engine: AsyncEngine) -> dict[str, Callable[[], int]]:
    """Readers of how many connections there are in each state."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 - by the arguments above
    return {"in_use": pool.checkedout, "idle": pool.checkedin}


def create_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """A factory of sessions whose objects stay readable after the commit, when the answer is rendered."""
    return async_sessionmaker(engine, expire_on_commit=False)
