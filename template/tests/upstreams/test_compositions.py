"""Parts put together against a real upstream: the outermost deadline bounds all of it, and nothing is left behind."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest
from pydantic import BaseModel
from tenacity import wait_fixed

from tests.subject import (
    ApplicationError,
    Deadline,
    ErrorClassifier,
    Events,
    FallbackChain,
    FallbackHandler,
    Policy,
    Substitutes,
    current_deadline,
    time_limit,
    with_timeout,
)
from tests.support.upstreams import POLICY, connect_to
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream

LONG = Policy(total_timeout=60.0, attempt_timeout=20.0, max_retries=5, wait=wait_fixed(0.01)).over(POLICY)


class Stock(BaseModel):
    sku: str
    available: int


@pytest.mark.parametrize("limit", ["deadline", "time_limit", "with_timeout"])
async def test_200_ms_bound_retries_in_a_chain_in_a_fallback(upstream: UnreliableUpstream, limit: str) -> None:
    upstream.fail(Fault(FaultKind.HANG))
    substitutes = Substitutes(ErrorClassifier(), Events())
    async with connect_to(upstream.url, LONG) as connection:

        async def ask() -> Stock:
            answer = await connection.stale.call("A-1", lambda: connection.get("/stock/A-1", Stock))
            return answer.value

        async def everything() -> object:
            chain = FallbackChain("stock", substitutes)
            return await FallbackHandler("stock", substitutes).execute_with_fallback(
                lambda: chain.execute({"first": ask, "second": lambda: with_timeout(ask(), 30), "third": ask}), ask
            )

        async def in_block(work: Awaitable[object]) -> None:
            async with time_limit("everything", 0.2):
                await work

        bounds: dict[str, Callable[[Awaitable[object]], Awaitable[object]]] = {
            "deadline": lambda work: work,
            "time_limit": in_block,
            "with_timeout": lambda work: with_timeout(work, 0.2),
        }
        begin = time.monotonic()
        token = current_deadline.set(Deadline.after(0.2) if limit == "deadline" else None)
        with pytest.raises(ApplicationError) as failed:
            await bounds[limit](everything())
        current_deadline.reset(token)
        assert time.monotonic() - begin < 0.2 + 0.5
        assert failed.value.status_code in {503, 504}


async def test_a_thousand_random_cancellations_leave_nothing_behind(upstream: UnreliableUpstream) -> None:
    dice = random.Random(7)
    before = asyncio.all_tasks()
    policy = Policy(max_concurrency=50, breaker_enabled=True, failure_threshold=10_000).over(LONG)
    async with connect_to(upstream.url, policy) as connection:
        pool = connection._client._transport._pool  # type: ignore[attr-defined]
        for _ in range(25):
            upstream.fail(Fault(dice.choice([FaultKind.HANG, FaultKind.DRIP, FaultKind.RESET]), seconds=0.001))
            calls = [asyncio.create_task(connection.get("/stock/A-1", Stock)) for _ in range(40)]
            for call in calls:
                asyncio.get_running_loop().call_later(dice.uniform(0, 0.05), call.cancel)
            await asyncio.gather(*calls, return_exceptions=True)
        upstream.recover()
        assert (await connection.get("/stock/A-1", Stock)).available == 42
        assert connection.pipeline.bulkhead.in_use == 0
        assert not connection.pipeline._attempt_limit.queue
        assert [one for one in pool.connections if not (one.is_idle() or one.is_closed())] == []
        assert pool._requests == []
    assert [task for task in asyncio.all_tasks() - before if "UnreliableUpstream" not in repr(task)] == []
