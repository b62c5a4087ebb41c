"""Checks are cached, bounded and never run twice at once."""

import asyncio

from tests.subject import Check


class Dependency:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def probe(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_one_question_serves_all_who_ask_together() -> None:
    dependency = Dependency()
    check = Check("database", dependency.probe)
    results = await asyncio.gather(*(check.run() for _ in range(50)))
    assert dependency.asked == 1
    assert all(result.healthy for result in results)


async def test_a_result_grows_old() -> None:
    dependency, now = Dependency(), 100.0
    check = Check("database", dependency.probe, max_age=1.0, clock=lambda: now)
    await check.run()
    now = 100.9
    await check.run()
    assert dependency.asked == 1
    now = 101.0
    dependency.error = OSError("user:password@host")
    result = await check.run()
    assert (dependency.asked, result.healthy, result.error) == (2, False, "OSError")


async def test_a_hanging_dependency_is_unhealthy() -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    result = await Check("database", hang, timeout=0.01).run()
    assert (result.healthy, result.error) == (False, "OperationTimeoutError")
