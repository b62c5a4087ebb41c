"""What sharing breakers through Redis costs: a call, and the event loop while Redis does not answer."""

import asyncio
import functools
import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.figures import Figure
from bench.service import Modules, example_policy, rendered

ROUNDS, CALLS = 61, 1000
PAIRS, SECONDS = 7, 4.0
TICK = 0.002


class Parts(NamedTuple):
    """The same pipeline twice, one with a breaker that is shared, and what keeps that in step.

    Attributes:
        shared: whose breaker is in step with others.
        plain: whose breaker is on its own.
        sync: the task of `shared`.
    """

    shared: Any
    plain: Any
    sync: "asyncio.Task[None]"


def figures() -> list[Figure]:
    """The cost of a call with sharing on, against off; how late the loop is with a black hole, beyond without fault."""
    with (
        rendered(redis_breakers=True) as module,
        _server(module) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_measure(module, server))


@contextmanager
def _server(module: Modules) -> Iterator[Any]:
    """The service's own support for tests starts the server."""
    file = Path(module("errors").__file__).parents[3] / "tests/support/redis.py"
    spec = importlib.util.spec_from_file_location("redis_server", file)
    assert spec is not None
    assert spec.loader is not None
    support = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(support)
    program = support.find_program()
    if program is None:
        raise SystemExit(support.MISSING)
    with support.RedisServer(program) as server:
        yield server


async def _measure(module: Modules, server: Any) -> list[Figure]:
    parts = await _parts(module, server.url)
    try:
        overhead = await _overhead(parts)
        await _print_background()
        lateness = [await _lateness(parts, server) for _ in range(PAIRS)]
    finally:
        parts.sync.cancel()
    return [
        Figure("redis_sharing_overhead", overhead, bar=1.2),
        Figure("redis_blackhole_loop_lag_ms", lateness, bar=10.0, unit="ms"),
    ]


async def _parts(module: Modules, url: str) -> Parts:
    module("observability.logs").configure_logging("CRITICAL")
    classifier = module("errors.classification").ErrorClassifier()
    metrics = module("observability.metrics").Metrics("copier", active_requests=lambda: 0)
    events = module("resilience.events").Events(module("observability.resilience_log").LOGGED, metrics.resilience())
    policy = example_policy(module)
    make = functools.partial(module("resilience.pipeline").Pipeline, classifier=classifier, events=events)
    shared, plain = make("shared", policy), make("plain", policy)
    said = policy.model_dump(include=module("resilience.pipeline").OF_BREAKER, exclude_none=True)
    plain.breaker = module("resilience.breaker").CircuitBreaker("plain", events=events, **said)
    sync = module("fleet.sync").BreakerSync(url, "bench")
    task = asyncio.create_task(sync.run({shared.breaker: policy.attempt_timeout}))
    await _until(shared.breaker, True)
    return Parts(shared, plain, task)


async def _until(breaker: Any, shared: bool) -> None:
    async with asyncio.timeout(5):
        while breaker.shared is not shared:
            await asyncio.sleep(0.01)


async def _nothing() -> str:
    return "done"


async def _overhead(parts: Parts) -> list[float]:
    """Round by round, CPU seconds of calls with sharing on against off."""
    samples = []
    for number in range(ROUNDS):
        seconds = {}
        for pipeline in (parts.shared, parts.plain) if number % 2 else (parts.plain, parts.shared):
            begin = time.process_time()
            for _ in range(CALLS):
                await pipeline.call(_nothing, idempotent=True)
            seconds[pipeline.name] = time.process_time() - begin
            await asyncio.sleep(0.02)  # For the exchange, which is not a part of any call.
        samples.append(seconds["shared"] / seconds["plain"])
    assert parts.shared.breaker.shared
    return samples


async def _print_background(seconds: float = 3.0) -> None:
    begin = time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - begin) / seconds * 100
    print(f"sharing  {share:.1f} % of a core in the background, whatever the traffic")


async def _lateness(parts: Parts, server: Any) -> float:
    """Milliseconds that the loop is later at the most, under load, with a black hole in the place of Redis."""
    await _until(parts.shared.breaker, True)
    without_fault = await _latest(parts.shared)
    with server.black_hole():
        with_fault = await _latest(parts.shared)
        assert not parts.shared.breaker.shared
    return (with_fault - without_fault) * 1000


async def _latest(pipeline: Any) -> float:
    """How late the loop comes back between calls: the third latest time, as one or two are the noise of the machine.

    An attempt to reach Redis that blocked would do it as often, for there are at least three.
    """
    late, until = [], time.perf_counter() + SECONDS
    while (now := time.perf_counter()) < until:
        await pipeline.call(_nothing, idempotent=True)
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - now - TICK)
    return sorted(late)[-3]
