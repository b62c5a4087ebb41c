"""The example: what comes twice is done once."""

from tools.checklist.registry import expect, shows
from tools.checklist.service import Service


@shows("idempotent orders")
async def idempotency(service: Service) -> str:
    """The same order with the same key, twice, and another one with it."""
    for one in service.upstreams:
        if one.declared.name == "inventory":
            one.reset()
    headers = {"Idempotency-Key": "checklist"}
    first, second, other = [
        await service.client.post("/v1/orders", json={"sku": "A-1", "quantity": quantity}, headers=headers)
        for quantity in (1, 1, 2)
    ]
    expect(first.status_code == 201, f"an order gets {first.status_code}")
    expect(first.json() == second.json(), "an order that comes twice is two")
    expect(other.status_code == 422, f"another order with the same key gets {other.status_code}")
    return "one order for one key"
