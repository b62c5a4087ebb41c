"""The process is killed while it writes: what it has acknowledged is there, and nothing is there by half."""

import asyncio
import signal
from pathlib import Path

import httpx

from tests.subject import PACKAGE
from tests.support.database import url_of
from tests.support.server import connect, own_process, started
from tools.unreliable_upstream import UnreliableUpstream

WRITERS, ENOUGH = 8, 30


async def test_what_was_acknowledged_survives(tmp_path: Path, inventory: UnreliableUpstream, unused_port: int) -> None:
    variables = {"PORT": str(unused_port), "DATABASE_URL": url_of(tmp_path), "INVENTORY_BASE_URL": inventory.url}
    acknowledged: dict[str, dict[str, object]] = {}
    sent: set[str] = set()

    async def write(client: httpx.AsyncClient, writer: int) -> None:
        for number in range(10_000):
            key = f"{writer}-{number}"
            sent.add(key)
            order = {"sku": f"A-{key}", "quantity": 1}
            answer = await client.post("/v1/orders", json=order, headers={"Idempotency-Key": key})
            if answer.status_code == 201:
                acknowledged[key] = answer.json()

    async with connect(f"http://127.0.0.1:{unused_port}") as client:
        async with own_process(["-m", PACKAGE], variables) as process:
            await started(client)
            writers = [asyncio.create_task(write(client, writer)) for writer in range(WRITERS)]
            async with asyncio.timeout(30):
                while len(acknowledged) < ENOUGH:
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            ends = await asyncio.gather(*writers, return_exceptions=True)
            assert all(isinstance(end, httpx.TransportError) for end in ends)

        async with own_process(["-m", PACKAGE], variables):
            await started(client)
            stored = await _all_orders(client)
            for order in acknowledged.values():
                assert stored[str(order["sku"])] == [order]
            # Of the others, each was stored once and with its answer, or not at all.
            assert stored.keys() <= {f"A-{key}" for key in sent}
            for key in sent - acknowledged.keys():
                again = await client.post(
                    "/v1/orders", json={"sku": f"A-{key}", "quantity": 1}, headers={"Idempotency-Key": key}
                )
                if f"A-{key}" in stored:
                    assert (again.status_code, again.json()) == (201, stored[f"A-{key}"][0])
                else:
                    assert again.status_code in {201, 409}  # Claimed by the process that is gone, for a while.
            assert all(len(orders) == 1 for orders in (await _all_orders(client)).values())


async def _all_orders(client: httpx.AsyncClient) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    query: dict[str, str | int] = {"limit": 100}
    while True:
        page = (await client.get("/v1/orders", params=query)).json()
        for order in page["items"]:
            found.setdefault(order["sku"], []).append(order)
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]
