"""Many time limits on one timer: each ends when it should, and what is over leaves nothing behind."""

import asyncio
import threading
import time
import weakref
from contextvars import ContextVar

import pytest

from tests.subject import OperationTimeoutError, SharedTimeout


async def late(limits: SharedTimeout, remaining: float = 60.0) -> float:
    """Seconds after which the limit ended a wait."""
    begin = time.monotonic()
    with pytest.raises(OperationTimeoutError), limits.limit(remaining):
        await asyncio.sleep(5)
    return time.monotonic() - begin


async def test_each_has_its_whole_time_and_no_more() -> None:
    limits = SharedTimeout("stock", 0.1)

    async def begin_later(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return await late(limits)

    times = await asyncio.gather(*(begin_later(number * 0.01) for number in range(20)))
    assert all(0.098 <= seconds < 1 for seconds in times)
    assert not limits.queue


async def test_the_error_names_the_operation_and_its_limit() -> None:
    with pytest.raises(OperationTimeoutError) as error, SharedTimeout("stock", 0.01).limit(60):
        await asyncio.sleep(5)
    assert error.value.context == {"operation": "stock", "timeout": 0.01}


async def test_what_ends_in_time_is_forgotten_and_its_task_not_cancelled() -> None:
    limits = SharedTimeout("stock", 0.05)
    for _ in range(100):
        with limits.limit(60):
            await asyncio.sleep(0)
        assert not limits.queue
    await asyncio.sleep(0.1)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_slow_one_at_the_head_keeps_nobody_alive_beyond_its_own_end() -> None:
    limits = SharedTimeout("stock", 0.1)
    slow = asyncio.create_task(late(limits))
    await asyncio.sleep(0)
    for _ in range(100):
        with limits.limit(60):
            await asyncio.sleep(0)
    assert len(limits.queue) == 101
    await slow
    assert not limits.queue


async def test_less_time_than_usual() -> None:
    assert await late(SharedTimeout("stock", 5), remaining=0.02) < 1


async def test_cancellation_from_outside_stays_cancellation() -> None:
    limits = SharedTimeout("stock", 0.01)

    async def work() -> None:
        with limits.limit(60):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    time.sleep(0.03)  # noqa: ASYNC251 - blocks the loop, so that both come in one turn
    with pytest.raises(asyncio.CancelledError):
        await task


def test_in_one_event_loop_after_the_other() -> None:
    limits = SharedTimeout("stock", 0.02)
    for _ in range(2):
        assert asyncio.run(late(limits)) < 1


def test_a_limit_of_a_loop_that_is_gone_bothers_nobody() -> None:
    limits = SharedTimeout("stock", 0.02)

    async def hold() -> None:
        with limits.limit(60):
            await asyncio.sleep(60)

    loop = asyncio.new_event_loop()
    work = hold()
    held = loop.create_task(work)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert asyncio.run(late(limits)) < 1
    assert not held.done()
    work.close()


async def test_what_is_over_leaves_no_timer_and_no_context() -> None:
    class Tracked:
        pass

    held: ContextVar[Tracked] = ContextVar("held")
    tracked = Tracked()
    gone = weakref.ref(tracked)
    limits = SharedTimeout("stock", 60)

    async def work(seconds: float, tracked: Tracked) -> None:
        held.set(tracked)
        with limits.limit(seconds):
            await asyncio.sleep(0)

    await asyncio.gather(*(asyncio.create_task(work(seconds, tracked)) for seconds in (30, 60)))
    del tracked
    await asyncio.sleep(0)
    assert gone() is None


async def test_the_timer_of_another_loop_ends_nothing_here() -> None:
    limits = SharedTimeout("stock", 0.1)

    async def elsewhere() -> None:
        with limits.limit(60):
            pass
        await asyncio.sleep(0.15)

    other = threading.Thread(target=asyncio.run, args=[elsewhere()])
    other.start()
    await asyncio.sleep(0.05)
    begin = time.monotonic()
    with pytest.raises(OperationTimeoutError), limits.limit(60):
        await asyncio.sleep(5)
    assert time.monotonic() - begin < 4
    other.join()


async def test_two_event_loops_at_once() -> None:
    """The second one has timers of its own, and takes none from the first."""
    limits = SharedTimeout("stock", 0.2)
    elsewhere: list[float] = []

    async def in_another() -> None:
        elsewhere.append(await late(limits))

    here = asyncio.create_task(late(limits))
    await asyncio.sleep(0)
    other = threading.Thread(target=lambda: asyncio.run(in_another()))
    other.start()
    assert await here < 2
    await asyncio.to_thread(other.join)
    assert elsewhere[0] < 2
