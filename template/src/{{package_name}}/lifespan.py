"""From the start of the app to its end: what is opened, handed to the requests, and closed again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from .db.check import ping
from .db.engine import create_breaker, create_engine, create_sessions, pool_states
from .db.schema import SchemaOutdatedError, migrate, require_schema
from .db.transactions import Transactions
from .errors.classification import ErrorClassifier
from .health.checks import Check
from .health.lifecycle import Lifecycle
from .health.routes import Health
from .observability.error_rates import ErrorRates
from .observability.logs import get_logger
from .resilience.degradation import Degradation
from .resilience.events import Events, PoolOpened
from .resilience.substitutes import Substitutes
from .settings import Settings
from .upstreams.connection import connect_all
from .upstreams.registry import UPSTREAMS
from .web.finished import FinishedRequests

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 10.0
PATIENCE_SECONDS = 1.0
"""How long the start waits for the database before it goes on without."""

log = get_logger(__name__)


@asynccontextmanager
async def run(
    settings: Settings,
    lifecycle: Lifecycle,
    finished: FinishedRequests,
    error_rates: ErrorRates,
    classifier: ErrorClassifier,
    events: Events,
    substitutes: Substitutes,
    degradation: Degradation,
) -> AsyncIterator[dict[str, Any]]:
    """Open what requests need, yield it as their `request.state`, close it at the end."""
    async with AsyncExitStack() as stack:
        stack.enter_context(finished.until_the_end())
        url = settings.database.url.get_secret_value()
        breaker = create_breaker(events) if settings.error_handling.circuit_breaker_enabled else None
        limits = settings.database.limits()
        engine = create_engine(url, limits, breaker)
        stack.push_async_callback(engine.dispose)
        events(PoolOpened(pool_states(engine, limits)))
        upstreams = await connect_all(
            stack,
            UPSTREAMS,
            settings.base_urls,
            settings.policies,
            connect_timeout=settings.error_handling.connection_timeout,
            classifier=classifier,
            events=events,
        )
        # Whoever develops wants the new table; in production someone decides when the tables change.
        migrated = url if settings.server.environment == "development" else None
        starting = asyncio.create_task(_prepare_database(engine, lifecycle, migrated))
        stack.push_async_callback(_cancel, starting)
        await asyncio.wait({starting}, timeout=PATIENCE_SECONDS)
        sessions = create_sessions(engine)
        yield {
            "sessions": sessions,
            "transactions": Transactions(sessions, events, asyncio.sleep),
            "upstreams": upstreams,
            "substitutes": substitutes,
            "degradation": degradation,
            "health": Health(
                lifecycle,
                checks=[Check("database", lambda: ping(engine))],
                breakers=[
                    one
                    for one in (breaker, *(upstream.pipeline.breaker for upstream in upstreams.values()))
                    if one is not None
                ],
                degradation=degradation,
                ready_requires=frozenset(settings.http.ready_requires),
                error_rates=error_rates,
            ),
        }
        lifecycle.draining = True


async def _prepare_database(engine: AsyncEngine, lifecycle: Lifecycle, migrated: str | None) -> None:
    """Try until the database answers with the schema we need; at `migrated`, it is given it.

    A database that is late must not stop the start: probes tell what is missing.
    """
    delay = FIRST_RETRY_SECONDS
    while not lifecycle.started:
        try:
            await _require_schema(engine, migrated)
            lifecycle.started = True
            break
        except SchemaOutdatedError as error:
            log.error("the schema of the database is outdated", reason=str(error), retry_in_seconds=delay)  # noqa: TRY400
        except Exception as error:  # Whatever the driver raises; a lasting one shows in /startupz and here.
            log.warning("database is not ready", retry_in_seconds=delay, exc_info=error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_RETRY_SECONDS)


async def _require_schema(engine: AsyncEngine, migrated: str | None) -> None:
    try:
        await require_schema(engine)
    except SchemaOutdatedError:
        if migrated is None:
            raise
        await migrate(migrated)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
