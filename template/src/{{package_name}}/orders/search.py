"""Search orders as well as it goes: ranked, else plain, else the last good result.

Each way has a session of its own. What fails in one, be it cancelled in the middle of a statement, leaves nothing behind
that the next one would stumble over.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..db.errors import database_errors
from ..resilience.degradation import Degradation, Feature, ServiceLevel
from ..resilience.fallback import FallbackChain, safe_async_call
from ..resilience.substitutes import Answer, Substitutes
from ..resilience.timeout import time_limit, timeout
from . import repository
from .models import Order
from .schemas import OrderView, SearchPage, SearchWay

RANKED_SEARCH = Feature(name="ranked_search", lowest=ServiceLevel.FULL, recovery_timeout=5.0)
BASIC_SEARCH = Feature(name="basic_search", lowest=ServiceLevel.DEGRADED, recovery_timeout=5.0)

RANKED_SECONDS, BASIC_SECONDS, COUNT_SECONDS = 0.5, 1.0, 0.2
"""Limits of each way and of the count. Without one, a database that hangs would leave no time for the last good result."""

KEPT_SECONDS = 300.0
"""Age up to which a result is still worth more than none."""

KEPT_RESULTS = 100
"""Anybody may search for anything, so this is what searches can make us remember."""


class OrderSearch:
    """Searches orders for one request."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], degradation: Degradation, substitutes: Substitutes
    ) -> None:
        self._sessions = sessions
        self._degradation = degradation
        self._substitutes = substitutes
        self._chain = FallbackChain("order_search", substitutes)
        self._last_good = substitutes.last_good("order_search", KEPT_SECONDS, max_entries=KEPT_RESULTS)

    async def search(self, text: str, limit: int) -> Answer[SearchPage]:
        """At most `limit` orders for products with `text` in their name, and how old that is if it is not current.

        Raises:
            FallbackChainExhaustedError: no way led to a result, and none is remembered.
        """
        page, age = await self._last_good.call(f"{limit} {text}", lambda: self._search_now(text, limit))
        if age is not None:
            page = page.model_copy(update={"degraded": True, "answered_by": SearchWay.LAST_GOOD})
        return Answer(page, age)

    async def _search_now(self, text: str, limit: int) -> SearchPage:
        found = await self._chain.execute(
            {
                SearchWay.RANKED: lambda: self._ranked(text, limit),
                SearchWay.BASIC: lambda: self._basic(text, limit),
            }
        )
        total = await safe_async_call(
            self._count(text), None, name="order_count", substitutes=self._substitutes, timeout=COUNT_SECONDS
        )
        way = SearchWay(found.by)
        return SearchPage(items=found.value, total=total, degraded=way is not SearchWay.RANKED, answered_by=way)

    async def _ranked(self, text: str, limit: int) -> list[OrderView]:
        # The breaker is around the limit: what takes too long has failed, and has not only been given up.
        with self._degradation.breaker(RANKED_SEARCH).guard():
            async with time_limit("ranked search", RANKED_SECONDS), self._session() as session:
                return _views(await repository.search_ranked(session, text, limit))

    async def _basic(self, text: str, limit: int) -> list[OrderView]:
        return await self._degradation.breaker(BASIC_SEARCH).call(self._unranked, text, limit)

    @timeout(BASIC_SECONDS)
    async def _unranked(self, text: str, limit: int) -> list[OrderView]:
        async with self._session() as session:
            return _views(await repository.search(session, text, limit))

    async def _count(self, text: str) -> int:
        async with self._session() as session:
            return await repository.count_matches(session, text)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncSession]:
        async with database_errors(), self._sessions() as session:
            yield session


def _views(orders: list[Order]) -> list[OrderView]:
    return [OrderView.model_validate(order) for order in orders]


async def order_search(request: Request) -> OrderSearch:
    """The search for this request."""
    return OrderSearch(request.state.sessions, request.state.degradation, request.state.substitutes)


Search = Annotated[OrderSearch, Depends(order_search)]
