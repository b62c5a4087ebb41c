"""What the resilience engine costs, beside its peers in the same event loop.

The rendered service's own pipeline is measured, with its metrics and its log subscribed, around a function that does
nothing. Rounds alternate between all subjects, so that whatever else the machine does hits them alike.
"""

import asyncio
import functools
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import aiobreaker
import circuitbreaker
import pybreaker
import stamina
import tenacity
import uvloop
from hyx.circuitbreaker import consecutive_breaker
from hyx.retry import retry as hyx_retry
from hyx.timeout import timeout as hyx_timeout
from purgatory import AsyncCircuitBreakerFactory

from bench.figures import Figure
from bench.service import Modules, example_policy, rendered

ROUNDS, CALLS = 41, 1000
Subject = Callable[[], Awaitable[object]]


def figures() -> list[Figure]:
    """The cost of a success, of a failure and of an open circuit, each against the cheapest peer of the same run."""
    with rendered() as module, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(module))


async def _measure(module: Modules) -> list[Figure]:
    ours = _ours(module)
    success = await _interleaved(
        {
            "ours": ours.success,
            "bare await": _nothing,
            "hyx": _hyx(_nothing),
            "naive": _with_cache(_naive(_nothing)),
            "stamina": stamina.retry(on=ValueError)(_nothing),
            "tenacity": tenacity.retry(stop=tenacity.stop_after_attempt(3))(_nothing),
            **_breakers(_nothing, threshold=5),
        }
    )
    failures = {
        "ours": ours.failure,
        "bare await": _broken,
        "hyx": _hyx(_broken),
        "naive": _naive(_broken, attempts=1, threshold=sys.maxsize),
        **_breakers(_broken, threshold=sys.maxsize),
    }
    failure = await _interleaved({name: _failing(subject) for name, subject in failures.items()})
    refusals = {"ours": ours.open, **await _opened(_breakers(_broken, threshold=1))}
    refused = await _interleaved({name: _refused(subject) for name, subject in refusals.items()})
    _print("success", success)
    _print("failure", failure)
    _print("open", refused)
    return [
        Figure("pipeline_success_vs_cheapest_peer", _ratio(success, "ours", ["hyx"]), bar=0.75),
        # How much faster, so that more is better.
        Figure("pipeline_success_vs_naive", _ratio(success, "naive", ["ours"]), bar=8.0, at_most=False),
        Figure("open_vs_cheapest_peer", _ratio(refused, "ours", [name for name in refused if name != "ours"]), bar=1.0),
        Figure("pipeline_failure_vs_naive", _ratio(failure, "naive", ["ours"]), bar=1.0, at_most=False),
    ]


async def _nothing() -> str:
    return "done"


async def _broken() -> str:
    raise ConnectionError("broken")


class _Ours(NamedTuple):
    """Calls through the pipeline of the example's upstream, everything on.

    Attributes:
        success: has a fallback.
        failure: is not retried.
        open: is refused by the open circuit.
    """

    success: Subject
    failure: Subject
    open: Subject


def _ours(module: Modules) -> _Ours:
    classifier = module("errors.classification").ErrorClassifier()
    metrics = module("observability.metrics").Metrics("copier", active_requests=lambda: 0)
    events = module("resilience.events").Events(module("observability.resilience_log").LOGGED, metrics.resilience())
    module("observability.logs").configure_logging("CRITICAL")
    policy = example_policy(module)

    def pipeline(**changes: Any) -> Any:
        changed = module("resilience.policy").Policy(**changes).over(policy)
        return module("resilience.pipeline").Pipeline("inventory", changed, classifier=classifier, events=events)

    closed, failing, opened = pipeline(), pipeline(failure_threshold=sys.maxsize), pipeline(recovery_timeout=3600.0)
    opened.breaker.open()
    substitutes = module("resilience.substitutes").Substitutes(classifier, events)
    stale = substitutes.last_good("inventory", 300.0)
    return _Ours(
        success=lambda: stale.call("A-1", lambda: closed.call(_nothing, idempotent=True)),
        failure=functools.partial(failing.call, _broken, idempotent=False),
        open=functools.partial(opened.call, _nothing, idempotent=True),
    )


def _hyx(function: Callable[[], Coroutine[Any, Any, str]]) -> Subject:
    in_time = hyx_timeout(2.0)(function)
    guarded = consecutive_breaker(failure_threshold=sys.maxsize, recovery_time_secs=30)(in_time)
    return hyx_retry(on=ConnectionError, attempts=3)(guarded) if function is _nothing else guarded


def _naive(function: Subject, attempts: int = 3, threshold: int = 5) -> Subject:
    """What tutorials show: tenacity around pybreaker around wait_for."""
    breaker = pybreaker.CircuitBreaker(fail_max=threshold, reset_timeout=30)

    @tenacity.retry(
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_exponential(),
        retry=tenacity.retry_if_exception_type((ConnectionError, TimeoutError)),
        reraise=True,
    )
    async def attempt() -> object:
        with breaker.calling():
            return await asyncio.wait_for(function(), 2.0)

    return attempt


def _with_cache(function: Subject) -> Subject:
    cache: dict[str, object] = {}

    async def call() -> object:
        try:
            cache["A-1"] = await function()
        except Exception:
            return cache["A-1"]
        else:
            return cache["A-1"]

    return call


def _breakers(function: Callable[[], Coroutine[Any, Any, str]], threshold: int) -> dict[str, Subject]:
    """The breakers of other libraries around `function`."""
    of_aiobreaker = aiobreaker.CircuitBreaker(fail_max=threshold)
    of_pybreaker = pybreaker.CircuitBreaker(fail_max=threshold)
    purgatory = AsyncCircuitBreakerFactory(default_threshold=threshold, default_ttl=3600)

    async def guarded() -> str:
        with of_pybreaker.calling():
            return await function()

    return {
        "circuitbreaker": circuitbreaker.circuit(failure_threshold=threshold, recovery_timeout=3600)(function),
        "hyx breaker": consecutive_breaker(failure_threshold=threshold, recovery_time_secs=3600)(function),
        "purgatory": purgatory("x")(function),
        "aiobreaker": lambda: of_aiobreaker.call_async(function),
        "pybreaker": guarded,
    }


async def _opened(peers: dict[str, Subject]) -> dict[str, Subject]:
    for peer in peers.values():
        for _ in range(3):
            try:
                await peer()
            except Exception:  # Whichever they raise, it opens them.
                continue
    return peers


def _failing(subject: Subject) -> Subject:
    async def call() -> None:
        try:
            await subject()
        except ConnectionError:
            return
        raise AssertionError("the failure did not come out")

    return call


def _refused(subject: Subject) -> Subject:
    async def call() -> None:
        try:
            await subject()
        except ConnectionError:
            raise AssertionError("the circuit is not open") from None
        except Exception:
            return
        raise AssertionError("the circuit has closed again")

    return call


async def _interleaved(subjects: dict[str, Subject]) -> dict[str, list[float]]:
    """CPU seconds for `CALLS` calls of each subject, in each of `ROUNDS` rounds of random order."""
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    order = list(subjects)
    shuffle = random.Random(7).shuffle
    for number in range(ROUNDS + 3):
        shuffle(order)
        for name in order:
            subject = subjects[name]
            begin = time.process_time()
            for _ in range(CALLS):
                await subject()
            if number >= 3:  # The first ones warm up.
                seconds[name].append(time.process_time() - begin)
    return seconds


def _ratio(seconds: dict[str, list[float]], one: str, others: list[str]) -> list[float]:
    """Round by round, `one` against the cheapest of `others` over all rounds."""
    cheapest = min(others, key=lambda name: statistics.median(seconds[name]))
    return [mine / theirs for mine, theirs in zip(seconds[one], seconds[cheapest], strict=True)]


def _print(title: str, seconds: dict[str, list[float]]) -> None:
    for name, samples in sorted(seconds.items(), key=lambda item: statistics.median(item[1])):
        print(f"{title:8} {name:16} {statistics.median(samples) / CALLS * 1e6:8.2f} µs a call")
