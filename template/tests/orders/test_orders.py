"""The example, from the outside."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.support.bodies import read_error
from tests.support.database import held_up
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream


async def test_create_and_read(shop: httpx.AsyncClient) -> None:
    created = await shop.post("/v1/orders", json={"sku": "A-1", "quantity": 2})
    assert created.status_code == 201
    order = created.json()
    assert order.keys() == {"id", "sku", "quantity", "status"}
    assert (order["sku"], order["quantity"], order["status"]) == ("A-1", 2, "accepted")
    read = await shop.get(f"/v1/orders/{order['id']}")
    assert (read.status_code, read.json()) == (200, order)


async def test_a_database_that_is_busy_refuses_for_a_moment(
    tmp_path: Path, inventory: UnreliableUpstream, logs: LogLines
) -> None:
    order = {"sku": "A-1", "quantity": 2}
    with serving(make_app(tmp_path, INVENTORY_BASE_URL=inventory.url, DATABASE_LOCK_TIMEOUT="0.02")) as url:
        async with connect(url) as client:
            with held_up(tmp_path, "orders"):
                response = await client.post("/v1/orders", json=order)
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
                assert read_error(response).code == "service_unavailable"
                assert (await client.get("/v1/orders")).json()["items"] == []
            assert (await client.post("/v1/orders", json=order)).status_code == 201
    assert len(logs.of_level("error")) == 1


async def test_unknown_order(shop: httpx.AsyncClient) -> None:
    response = await shop.get("/v1/orders/no-such-order")
    assert response.status_code == 404
    error = read_error(response)
    assert (error.code, error.message) == ("not_found", "Order not found")
    assert "no-such-order" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {"sku": "A-1", "quantity": 0},
        {"sku": "A-1", "quantity": 10_001},
        {"sku": "", "quantity": 1},
        {"sku": "a b", "quantity": 1},
        {"sku": "A-1"},
        {"sku": "A-1", "quantity": 1, "discount": 100},
    ],
)
async def test_invalid_orders(shop: httpx.AsyncClient, body: dict[str, object]) -> None:
    before = (await shop.get("/v1/orders")).json()
    response = await shop.post("/v1/orders", json=body)
    assert response.status_code == 422
    assert read_error(response).details
    assert (await shop.get("/v1/orders")).json() == before


async def test_pages(tmp_path: Path, inventory: UnreliableUpstream) -> None:
    with serving(make_app(tmp_path, INVENTORY_BASE_URL=inventory.url)) as url:
        async with connect(url) as client:
            created = [
                (await client.post("/v1/orders", json={"sku": f"A-{number}", "quantity": 1})).json()
                for number in range(5)
            ]
            seen: list[object] = []
            query: dict[str, str | int] = {"limit": 2}
            for _ in range(3):
                page = (await client.get("/v1/orders", params=query)).json()
                seen += page["items"]
                query["cursor"] = page["next_cursor"]
    assert query["cursor"] is None
    assert seen == created[::-1]


async def test_a_foreign_cursor_is_refused(shop: httpx.AsyncClient) -> None:
    response = await shop.get("/v1/orders?cursor=canary-4f9d2c71")
    assert response.status_code == 400
    error = read_error(response)
    assert (error.code, error.message) == ("validation_error", "The cursor is not one of ours")
    assert "canary" not in response.text


async def test_availability(shop: httpx.AsyncClient) -> None:
    response = await shop.get("/v1/availability/A-1")
    assert (response.status_code, response.json()) == (200, {"sku": "A-1", "available": 42, "degraded": False})
    assert (await shop.get("/v1/availability/missing-1")).status_code == 404


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault(FaultKind.STATUS, status=503), 503, "service_unavailable"),
        (Fault(FaultKind.RESET), 503, "service_unavailable"),
        (Fault(FaultKind.STATUS, status=401), 500, "isolated_failure"),
    ],
    ids=["down", "reset", "refused"],
)
async def test_availability_when_the_inventory_fails(
    shop: httpx.AsyncClient, inventory: UnreliableUpstream, logs: LogLines, fault: Fault, status: int, code: str
) -> None:
    inventory.fail(fault)
    response = await shop.get("/v1/availability/NEVER-SEEN")
    assert response.status_code == status
    assert read_error(response).code == code
    assert inventory.url not in response.text
    assert len(logs.of_level("error")) == 1


async def test_throttling_of_the_inventory_reaches_the_client(
    shop: httpx.AsyncClient, inventory: UnreliableUpstream, logs: LogLines
) -> None:
    inventory.fail(Fault(FaultKind.STATUS, status=429, retry_after=4))
    response = await shop.get("/v1/availability/NEVER-SEEN")
    assert (response.status_code, response.headers["retry-after"]) == (503, "4")
    [error] = logs.of_level("error")
    assert error["context"]["sku"] == "NEVER-SEEN"


@pytest.mark.parametrize("status", [400, 401, 302])
async def test_an_old_answer_does_not_hide_a_bug(
    shop: httpx.AsyncClient, inventory: UnreliableUpstream, status: int
) -> None:
    assert (await shop.get("/v1/availability/A-1")).status_code == 200
    inventory.fail(Fault(FaultKind.STATUS, status=status))
    response = await shop.get("/v1/availability/A-1")
    assert (response.status_code, read_error(response).code) == (500, "isolated_failure")


async def test_a_short_deadline_still_lets_the_old_answer_stand_in(
    tmp_path: Path, inventory: UnreliableUpstream
) -> None:
    """The deadline of the request is a failure of the inventory too: it is counted, and opens the circuit."""
    app = make_app(tmp_path, INVENTORY_BASE_URL=inventory.url, REQUEST_DEADLINE_SECONDS="0.5")
    with serving(app) as url:
        async with connect(url) as client:
            assert (await client.get("/v1/availability/A-1")).status_code == 200
            inventory.fail(Fault(FaultKind.HANG))
            old = await client.get("/v1/availability/A-1")
            assert (old.status_code, old.json()["degraded"]) == (200, True)
            report = (await client.get("/health")).json()
            assert report["circuit_breakers"]["inventory"]["failure_count"] == 1


@pytest.mark.parametrize(("milliseconds", "counted"), [(200, False), (800, True)])
async def test_only_callers_that_give_enough_time_speak_against_the_inventory(
    tmp_path: Path, inventory: UnreliableUpstream, milliseconds: int, counted: bool
) -> None:
    inventory.fail(Fault(FaultKind.HANG))
    app = make_app(tmp_path, INVENTORY_BASE_URL=inventory.url)
    with serving(app) as url:
        async with connect(url) as client:
            headers = {"X-Request-Timeout-Ms": str(milliseconds)}
            answers = await asyncio.gather(*(client.get("/v1/availability/A-1", headers=headers) for _ in range(12)))
            assert {answer.status_code for answer in answers} <= {503, 504}
            failures = (await client.get("/health")).json()["circuit_breakers"]["inventory"]["failure_count"]
            assert (failures > 0) is counted


async def test_availability_survives_the_inventory(tmp_path: Path, inventory: UnreliableUpstream) -> None:
    """The whole story: a good answer, a failure that a retry mends, the circuit opening, the old answer, recovery."""
    app = make_app(tmp_path, INVENTORY_BASE_URL=inventory.url, UPSTREAM_INVENTORY_RECOVERY_TIMEOUT="0.2")
    with serving(app) as url:
        async with connect(url) as client:

            async def breaker() -> str:
                report = (await client.get("/health")).json()
                assert report["status"] == (
                    "healthy" if report["circuit_breakers"]["inventory"]["state"] == "closed" else "degraded"
                )
                return str(report["circuit_breakers"]["inventory"]["state"])

            assert (await client.get("/v1/availability/A-1")).json()["degraded"] is False
            inventory.reset_requests()
            inventory.fail(Fault(FaultKind.STATUS, status=503, times=1))
            rescued = await client.get("/v1/availability/A-1")
            assert (rescued.json()["degraded"], inventory.request_count) == (False, 2)

            inventory.fail(Fault(FaultKind.STATUS, status=503))
            for _ in range(10):
                old = await client.get("/v1/availability/A-1")
                assert (old.status_code, old.json()) == (200, {"sku": "A-1", "available": 42, "degraded": True})
                assert int(old.headers["age"]) < 5
            assert await breaker() in {"open", "half_open"}
            unknown = await client.get("/v1/availability/B-2")
            assert (unknown.status_code, read_error(unknown).code) == (503, "circuit_open")
            assert int(unknown.headers["retry-after"]) >= 1

            inventory.recover()
            async with asyncio.timeout(5):
                while (await client.get("/v1/availability/A-1")).json()["degraded"]:
                    await asyncio.sleep(0.05)
            assert await breaker() == "closed"
