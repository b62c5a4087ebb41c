"""The engine: the pool of connections, and the circuit breaker at its door."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy import PoolProxiedConnection, exc, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from ..errors.hierarchy import ServiceUnavailableError
from ..resilience.breaker import CircuitBreaker, Verdict
from ..resilience.events import Event
from .dialect import Limits, failure, options, prepare
from .failures import Failure, unavailable

P = ParamSpec("P")
T = TypeVar("T")

FAILURE_THRESHOLD = 5
RECOVERY_SECONDS = 0.2
"""A trial costs one attempt to connect, and all wait for it: a database that is back should not go unnoticed."""


def create_engine(
    url: str,
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
    breaker: CircuitBreaker | None = None,
) -> AsyncEngine:
    """An engine on `url`; connections are made when they are first needed.

    Parameters of statements never appear in exceptions or logs: they are what users typed.
    """
    engine = create_async_engine(
        make_url(url),
        hide_parameters=True,
        poolclass=_pool_behind(breaker),
        pool_size=limits.pool_size,
        max_overflow=limits.max_overflow,
        pool_timeout=limits.pool_timeout,
        **options(limits),
    )
    prepare(engine)
    return engine


def create_breaker(events: Callable[[Event], None]) -> CircuitBreaker:
    """It opens while nobody gets a connection: then nobody waits for one, nor for the end of a timeout."""
    return CircuitBreaker(
        "database",
        failure_threshold=FAILURE_THRESHOLD,
        recovery_timeout=RECOVERY_SECONDS,
        success_threshold=1,
        judge=_judge,
        events=events,
    )


def pool_states(engine: AsyncEngine, limits: Limits) -> dict[str, Callable[[], int]]:
    """Readers of how many connections there are in each state; together they are as many as there may be."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 - by the arguments above
    most = limits.pool_size + limits.max_overflow
    return {
        "in_use": pool.checkedout,
        "idle": pool.checkedin,
        "unopened": lambda: most - pool.checkedout() - pool.checkedin(),
    }


def create_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """A factory of sessions whose objects stay readable after the commit, when the answer is rendered.

    The session itself is of no use any more once it is closed: it would take a connection that nobody gives back.
    """
    return async_sessionmaker(engine, expire_on_commit=False, close_resets_only=False)


def _unguarded(function: Callable[P, T]) -> Callable[P, T]:
    return function


def _pool_behind(breaker: CircuitBreaker | None) -> type[AsyncAdaptedQueuePool]:
    guarded = breaker or _unguarded

    class Pool(AsyncAdaptedQueuePool):
        __module__ = AsyncAdaptedQueuePool.__module__  # Its logger is called after it, and is as quiet as SQLAlchemy's.

        # Here alone: a statement that fails says nothing of the others, and who has lost the server connects next.
        @guarded
        def connect(self) -> PoolProxiedConnection:
            try:
                return super().connect()
            except OSError as error:  # A driver may raise what the operating system does; TimeoutError is one.
                raise unavailable() from error

    return Pool


def _judge(error: Exception) -> Verdict:
    """A wrong password, for one, is a failure of ours."""
    if isinstance(error, (exc.TimeoutError, ServiceUnavailableError)) or failure(error) is Failure.UNAVAILABLE:
        return Verdict.FAILURE
    return Verdict.NEITHER
