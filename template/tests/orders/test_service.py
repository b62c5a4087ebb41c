"""Taking an order, layer by layer."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from tests.support.bodies import read_error
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream

ORDER = {"sku": "A-1", "quantity": 2}


@pytest.fixture
def begun(inventory: UnreliableUpstream) -> Iterator[list[int]]:
    """For each transaction, how often the inventory had been asked when it began."""
    seen: list[int] = []

    def note(_: Connection) -> None:
        seen.append(inventory.request_count)

    event.listen(Engine, "begin", note)
    yield seen
    event.remove(Engine, "begin", note)


async def test_what_is_wrong_in_itself_is_refused_before_anybody_is_asked(
    shop: httpx.AsyncClient, inventory: UnreliableUpstream, begun: list[int]
) -> None:
    inventory.reset_requests()
    assert (await shop.post("/v1/orders", json={"sku": "A-1", "quantity": 0})).status_code == 422
    assert (inventory.request_count, begun) == (0, [])


async def test_the_inventory_is_asked_before_the_transaction_begins(
    shop: httpx.AsyncClient, inventory: UnreliableUpstream, begun: list[int]
) -> None:
    inventory.reset_requests()
    response = await shop.post("/v1/orders", json=ORDER)
    assert (response.status_code, response.json()["status"]) == (201, "accepted")
    assert begun == [1]


async def test_not_enough_in_stock_is_a_conflict(shop: httpx.AsyncClient, inventory: UnreliableUpstream) -> None:
    inventory.stock["A-3"] = 2
    assert (await shop.post("/v1/orders", json={"sku": "A-3", "quantity": 2})).status_code == 201
    response = await shop.post("/v1/orders", json={"sku": "A-3", "quantity": 3})
    assert response.status_code == 409
    error = read_error(response)
    assert (error.code, error.message) == ("conflict", "Stock conflicts with the present state in quantity")


async def test_a_product_that_does_not_exist_cannot_be_ordered(shop: httpx.AsyncClient) -> None:
    response = await shop.post("/v1/orders", json={"sku": "missing-1", "quantity": 1})
    assert response.status_code == 422
    error = read_error(response)
    assert (error.code, error.message) == ("unprocessable", "There is no such product")
    assert "missing-1" not in response.text


async def test_a_passing_failure_is_mended_by_a_retry(shop: httpx.AsyncClient, inventory: UnreliableUpstream) -> None:
    inventory.fail(Fault(FaultKind.STATUS, status=503, times=1))
    assert (await shop.post("/v1/orders", json=ORDER)).json()["status"] == "accepted"


@pytest.mark.parametrize("fault", [Fault(FaultKind.STATUS, status=503), Fault(FaultKind.RESET)], ids=["down", "reset"])
async def test_an_order_is_taken_while_the_inventory_cannot_tell(
    shop: httpx.AsyncClient, inventory: UnreliableUpstream, logs: LogLines, fault: Fault
) -> None:
    assert (await shop.get("/v1/availability/A-1")).status_code == 200
    inventory.fail(fault)
    # Although 42 were there a moment ago, which is an answer for whoever looks, and no promise.
    response = await shop.post("/v1/orders", json={"sku": "A-1", "quantity": 50})
    assert (response.status_code, response.json()["status"]) == (201, "pending")
    read = await shop.get(f"/v1/orders/{response.json()['id']}")
    assert read.json() == response.json()
    [fallback] = [line for line in logs.of_level("warning") if line["event"] == "fallback used"]
    assert (fallback["name"], fallback["kind"]) == ("order_stock", "fallback")
    assert fallback["error_type"] == "ServiceUnavailableError"


async def test_an_order_is_taken_at_once_while_the_circuit_is_open(
    tmp_path: Path, inventory: UnreliableUpstream
) -> None:
    inventory.fail(Fault(FaultKind.STATUS, status=503))
    app = make_app(tmp_path, INVENTORY_BASE_URL=inventory.url, UPSTREAM_INVENTORY_MAX_RETRIES="0")
    with serving(app) as url:
        async with connect(url) as client:
            for _ in range(10):
                assert (await client.post("/v1/orders", json=ORDER)).json()["status"] == "pending"
            inventory.reset_requests()
            assert (await client.post("/v1/orders", json=ORDER)).json()["status"] == "pending"
    assert inventory.request_count == 0


async def test_a_fallback_does_not_hide_a_bug(shop: httpx.AsyncClient, inventory: UnreliableUpstream) -> None:
    inventory.fail(Fault(FaultKind.STATUS, status=401))
    response = await shop.post("/v1/orders", json=ORDER)
    assert (response.status_code, read_error(response).code) == (500, "isolated_failure")
