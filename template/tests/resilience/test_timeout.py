"""Time limits end what they are around, and nothing else."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.subject import Deadline, OperationTimeoutError, current_deadline, time_limit, timeout, with_timeout


async def test_a_block_in_time() -> None:
    async with time_limit("work", 5):
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_block_that_is_late() -> None:
    with pytest.raises(OperationTimeoutError) as late:
        async with time_limit("work", 0.01):
            await asyncio.sleep(5)
    assert late.value.context == {"operation": "work", "timeout": 0.01}
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_no_time_at_all() -> None:
    with pytest.raises(OperationTimeoutError):
        async with time_limit("work", 0):
            await asyncio.sleep(5)


async def test_cancellation_from_outside_stays_cancellation() -> None:
    async def work() -> None:
        async with time_limit("work", 5):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancellation_and_expiry_at_once_is_cancellation() -> None:
    async def work() -> None:
        async with time_limit("work", 0.01):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    time.sleep(0.03)  # noqa: ASYNC251 - blocks the loop, so that both come in one turn
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_and_the_outer_limit() -> None:
    with pytest.raises(OperationTimeoutError, match="outer"):
        async with time_limit("outer", 0.01), time_limit("inner", 5):
            await asyncio.sleep(5)
    with pytest.raises(OperationTimeoutError, match="inner"):
        async with time_limit("outer", 5), time_limit("inner", 0.01):
            await asyncio.sleep(5)


async def test_an_error_of_its_own_passes() -> None:
    with pytest.raises(LookupError):
        async with time_limit("work", 5):
            raise LookupError


async def test_the_deadline_of_the_request_is_a_limit_too() -> None:
    token = current_deadline.set(Deadline.after(0.02))
    begin = time.monotonic()
    with pytest.raises(OperationTimeoutError):
        async with time_limit("work", 5):
            await asyncio.sleep(5)
    assert time.monotonic() - begin < 1
    current_deadline.reset(token)


async def test_of_an_awaitable() -> None:
    assert await with_timeout(asyncio.sleep(0, "done"), 5) == "done"
    with pytest.raises(OperationTimeoutError, match="sleep"):
        await with_timeout(asyncio.sleep(5), 0.01)
    with pytest.raises(LookupError) as late:
        await with_timeout(asyncio.sleep(5), 0.01, LookupError("late"))
    assert isinstance(late.value.__cause__, TimeoutError)


async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def block(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


class Waiter:
    async def __call__(self, seconds: float) -> str:
        return await wait(seconds)


@pytest.mark.parametrize("function", [wait, block, Waiter(), partial(wait)])
async def test_as_decorator_of_both_kinds_of_function(function: Callable[[float], Any]) -> None:
    assert await timeout(30)(function)(0.0) == "done"
    with pytest.raises(OperationTimeoutError):
        await timeout(0.05)(function)(0.5)


async def test_a_limit_inside_is_not_taken_for_the_own_one() -> None:
    with pytest.raises(OperationTimeoutError, match="sleep"):
        await with_timeout(with_timeout(asyncio.sleep(5), 0.01), 30, LookupError("late"))
