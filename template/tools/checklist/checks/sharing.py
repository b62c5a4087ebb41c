"""Circuit breakers that replicas share through Redis."""

import asyncio
import secrets
from collections.abc import Callable

from tools.checklist.registry import NotRunError, expect, shows
from tools.checklist.service import Service
from tools.subject import BreakerSync, CircuitState, ServiceUnavailableError, SharedBreaker


@shows("shared circuit breakers")
async def sharing(service: Service) -> str:
    """The service here serves without Redis; two replicas in that of the settings add their failures up."""
    ready = (await service.client.get("/readyz")).status_code
    expect(ready == 200, f"without Redis, /readyz answers {ready}")
    url, fleet = service.settings.redis.url.get_secret_value(), f"checklist-{secrets.token_hex(8)}"
    replicas = [SharedBreaker("checklist", failure_threshold=2) for _ in range(2)]
    running = [asyncio.create_task(BreakerSync(url, fleet).run({one: 1.0})) for one in replicas]
    try:
        if not await _within_seconds(lambda: all(one.shared for one in replicas)):
            raise NotRunError("served without Redis; REDIS_URL: nobody answers")
        for one in replicas:
            one.failed(one.epoch, ServiceUnavailableError("checklist"))
        opened = await _within_seconds(lambda: all(one.state is CircuitState.OPEN for one in replicas))
        expect(opened, "one failure of each of two replicas does not open what two failures open")
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return "two replicas opened as one; served without Redis"


async def _within_seconds(holds: Callable[[], bool]) -> bool:
    for _ in range(60):
        if holds():
            return True
        await asyncio.sleep(0.05)
    return False
