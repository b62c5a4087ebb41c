"""Searching, as well as it goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.subject import PACKAGE, Application
from tests.support.bodies import read_error
from tests.support.database import LONG_STATEMENT, destroy_database, held_up
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving
from tools.unreliable_upstream import UnreliableUpstream

SKUS = ["A-1", "A-12", "XA-1", "B_7", "b-7"]
NEWEST_FIRST = ["XA-1", "A-12", "A-1"]
Query = Callable[[AsyncSession, str, int], Awaitable[Any]]


@pytest.fixture
def app(tmp_path: Path, inventory: UnreliableUpstream) -> Application:
    return make_app(tmp_path, INVENTORY_BASE_URL=inventory.url, DATABASE_LOCK_TIMEOUT="0.1")


@pytest.fixture
async def searched(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A service with some orders, oldest first as in `SKUS`."""
    with serving(app) as url:
        async with connect(url) as client:
            for sku in SKUS:
                assert (await client.post("/v1/orders", json={"sku": sku, "quantity": 1})).status_code == 201
            yield client


@pytest.fixture
def rank_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Query], None]:
    """Put another query in the place of the ranked one."""
    return lambda query: monkeypatch.setattr(f"{PACKAGE}.orders.repository.search_ranked", query)


async def search(client: httpx.AsyncClient, q: str) -> tuple[list[str], str, bool]:
    """What was found, in which way, and whether that is less than usual."""
    response = await client.get("/v1/orders/search", params={"q": q})
    assert response.status_code == 200
    page = response.json()
    assert page.keys() == {"items", "total", "degraded", "answered_by"}
    return [order["sku"] for order in page["items"]], page["answered_by"], page["degraded"]


async def busy(session: AsyncSession, _: str, __: int) -> None:
    """A real failure in the middle of a real transaction."""
    await session.execute(text("SELECT 1"))
    await session.execute(text("DELETE FROM orders"))


async def long(session: AsyncSession, _: str, __: int) -> None:
    """Half a minute of work for the database."""
    await session.execute(text(LONG_STATEMENT))


async def test_the_best_match_comes_first(searched: httpx.AsyncClient) -> None:
    assert await search(searched, "a-1") == (["A-1", "A-12", "XA-1"], "ranked", False)
    assert await search(searched, "7") == (["b-7", "B_7"], "ranked", False)


async def test_the_count_is_of_all_matches(searched: httpx.AsyncClient) -> None:
    page = (await searched.get("/v1/orders/search?q=a&limit=2")).json()
    assert (len(page["items"]), page["total"]) == (2, 3)


@pytest.mark.parametrize(("q", "found"), [("%", []), ("_", ["B_7"]), ("/", []), ("A%1", []), ("'", []), ("Ä", [])])
async def test_wildcards_stand_for_themselves(searched: httpx.AsyncClient, q: str, found: list[str]) -> None:
    assert (await search(searched, q))[0] == found


@pytest.mark.parametrize("query", ["", "q=", f"q={'x' * 65}", "q=a&limit=0", "q=a&limit=101"])
async def test_a_query_has_bounds(shop: httpx.AsyncClient, query: str) -> None:
    response = await shop.get(f"/v1/orders/search?{query}")
    assert response.status_code == 422
    assert read_error(response).details


async def test_a_failed_ranking_leaves_nothing_behind_for_the_basic_search(
    tmp_path: Path, searched: httpx.AsyncClient, rank_by: Callable[[Query], None], logs: LogLines
) -> None:
    rank_by(busy)
    with held_up(tmp_path, "orders"):
        assert await search(searched, "a") == (NEWEST_FIRST, "basic", True)
    [fallback] = [line for line in logs.of_level("warning") if line["event"] == "fallback used"]
    assert (fallback["name"], fallback["kind"]) == ("order_search", "basic")
    assert fallback["cause_type"] in {"OperationalError", "DBAPIError"}


async def test_a_ranking_that_takes_too_long_is_ended(
    searched: httpx.AsyncClient, rank_by: Callable[[Query], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{PACKAGE}.orders.search.RANKED_SECONDS", 0.05)
    rank_by(long)
    async with asyncio.timeout(5):
        assert await search(searched, "a") == (NEWEST_FIRST, "basic", True)


async def test_a_database_that_hangs_leaves_time_for_the_last_good_result(
    searched: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (await search(searched, "a"))[0]

    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    for name in ("search_ranked", "search"):
        monkeypatch.setattr(f"{PACKAGE}.orders.repository.{name}", hang)
    monkeypatch.setattr(f"{PACKAGE}.orders.search.RANKED_SECONDS", 0.05)
    async with asyncio.timeout(5):
        assert await search(searched, "a") == (found, "last_good", True)
        assert await search(searched, "a") == (found, "last_good", True)
    assert (await searched.get("/health")).json()["service_level"] == "minimal"


async def test_the_ranking_is_off_after_a_failure_and_comes_back(
    app: Application, searched: httpx.AsyncClient, rank_by: Callable[[Query], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def broken(_: AsyncSession, __: str, ___: int) -> None:
        nonlocal asked
        asked += 1
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(f"{PACKAGE}.orders.repository.search_ranked", broken)
        for _ in range(3):
            assert (await search(searched, "a"))[1:] == ("basic", True)
    assert asked == 1
    report = await searched.get("/health")
    assert (report.json()["status"], report.json()["service_level"]) == ("degraded", "degraded")
    assert report.json()["circuit_breakers"]["ranked_search"]["state"] == "open"
    assert report.headers["x-service-level"] == "degraded"

    for breaker in app.state.degradation.breakers.values():
        breaker.trial_at = 0.0
    assert (await search(searched, "a"))[1:] == ("ranked", False)
    report = await searched.get("/health")
    assert (report.json()["status"], report.json()["service_level"]) == ("healthy", "full")


async def test_the_ranking_is_off_where_the_level_is_held_below_it(
    app: Application, searched: httpx.AsyncClient
) -> None:
    app.state.degradation.enable_degraded_mode()
    assert (await search(searched, "a"))[1:] == ("basic", True)
    app.state.degradation.enable_minimal_mode()
    assert (await search(searched, "a"))[1:] == ("last_good", True)
    app.state.degradation.enable_automatic_mode()
    assert (await search(searched, "a"))[1:] == ("ranked", False)


async def test_a_bug_in_the_ranking_is_not_hidden(
    searched: httpx.AsyncClient, rank_by: Callable[[Query], None]
) -> None:
    async def bug(session: AsyncSession, _: str, __: int) -> None:
        await session.execute(text("SELECT nothing FROM nowhere"))

    rank_by(bug)
    response = await searched.get("/v1/orders/search?q=a")
    assert (response.status_code, read_error(response).code) == (500, "internal_error")


async def test_the_last_good_result_stands_in_when_nothing_works(tmp_path: Path, searched: httpx.AsyncClient) -> None:
    good = (await searched.get("/v1/orders/search?q=a")).json()
    destroy_database(tmp_path)
    response = await searched.get("/v1/orders/search?q=a")
    assert response.status_code == 200
    assert response.json() == {**good, "degraded": True, "answered_by": "last_good"}
    assert response.headers["age"] == "0"
    assert (await searched.get("/v1/orders/search?q=a&limit=2")).status_code == 503
    never_asked = await searched.get("/v1/orders/search?q=b")
    assert (never_asked.status_code, read_error(never_asked).code) == (503, "fallbacks_exhausted")
    assert 1 <= int(never_asked.headers["retry-after"]) <= 5


async def test_a_count_that_takes_too_long_is_left_out(
    searched: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(session: AsyncSession, _: str) -> int:
        await long(session, "", 0)
        return 0

    monkeypatch.setattr(f"{PACKAGE}.orders.search.COUNT_SECONDS", 0.05)
    monkeypatch.setattr(f"{PACKAGE}.orders.repository.count_matches", slow)
    async with asyncio.timeout(5):
        page = (await searched.get("/v1/orders/search?q=a")).json()
    assert (len(page["items"]), page["total"], page["degraded"]) == (3, None, False)


async def test_the_search_is_documented_as_it_is(shop: httpx.AsyncClient) -> None:
    operation = (await shop.get("/openapi.json")).json()["paths"]["/v1/orders/search"]["get"]
    assert {"200", "422", "500", "503", "504"} == operation["responses"].keys()
    assert operation["responses"]["503"]["description"].startswith("Every link of a fallback chain failed")
