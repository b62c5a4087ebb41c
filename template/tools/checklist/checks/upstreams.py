"""Upstreams: each one of the registry fails here, is hung up on, and recovers."""

import asyncio
import time
from pathlib import Path

from tools.checklist.page import failed_tests, read_page
from tools.checklist.registry import BrokenError, expect, shows
from tools.checklist.service import QUICK, CheckedUpstream, Service, Stock
from tools.subject import (
    FALLBACK,
    ApplicationError,
    CircuitBreakerOpenError,
    CircuitState,
    FallbackHandler,
    OperationTimeoutError,
    ServiceUnavailableError,
    upstreams,
)
from tools.unreliable_upstream import Fault, FaultKind

DOWN = Fault(FaultKind.STATUS, status=503)
MOST_CALLS = 500
RECOVERY = "recovery, tested"


@shows("retries")
async def retries(service: Service) -> str:
    """A call that fails is made again, unless the declaration says never or decides by itself; a POST without a key is not."""
    seen = []
    for one in service.upstreams:
        one.reset()
        one.server.fail(DOWN)
        error = await one.ask()
        attempts = one.server.request_count
        said = one.declared.policy
        wanted = said.max_retries != 0 and said.retry_budget != 0 and said.when is None
        expect(error is not None and (attempts > 1 or not wanted), f"{one.declared.name}: {attempts} attempts")
        one.reset()
        one.server.fail(DOWN)
        expect(await _post(one) and one.server.request_count == 1, f"{one.declared.name}: a POST is repeated")
        one.reset()
        seen.append(f"{one.declared.name}: {attempts} attempts")
    return ", ".join(seen)


async def _post(one: CheckedUpstream) -> ApplicationError | None:
    try:
        await one.connection.post("/stock/A-1", Stock(sku="A-1", available=0), Stock, idempotency_key=None)
    except ApplicationError as error:
        return error
    return None


@shows("circuit breakers")
async def breakers(service: Service) -> str:
    """Failures open each one, an open one spares its upstream, and the database has one too."""
    seen = []
    for one in service.upstreams:
        calls = await open_circuit(one)
        before = one.server.request_count
        expect(isinstance(await one.ask(), CircuitBreakerOpenError), f"{one.declared.name}: it does not stay open")
        expect(one.server.request_count == before, f"{one.declared.name}: it is asked while the circuit is open")
        one.reset()
        seen.append(f"{one.declared.name} opens after {calls} calls")
    expect("database" in (await service.report())["circuit_breakers"], "the database has none")
    return ", ".join([*seen, "the database has one"])


async def open_circuit(one: CheckedUpstream) -> int:
    """Let it fail until the circuit is open; how many calls that took."""
    one.reset()
    expect(one.connection.pipeline.breaker is not None, f"{one.declared.name} has none: breaker_enabled is false")
    one.server.fail(DOWN)
    for number in range(MOST_CALLS):
        if isinstance(await one.ask(), CircuitBreakerOpenError):
            return number
    raise BrokenError(f"{one.declared.name}: still closed after {MOST_CALLS} failures")


@shows("time limits")
async def timeouts(service: Service) -> str:
    """Upstreams hang, and a request takes longer than its caller waits."""
    for one in service.upstreams:
        one.reset()
        one.server.fail(Fault(FaultKind.HANG))
        begin = time.monotonic()
        error = await one.ask()
        seconds = time.monotonic() - begin
        one.reset()
        expect(isinstance(error, OperationTimeoutError), f"{one.declared.name} hangs: {error!r}")
        expect(seconds < QUICK["total_timeout"] + 1.0, f"{one.declared.name}: a call took {seconds:.1f} s")
    response = await service.client.get("/checklist/slow?seconds=1", headers={"X-Request-Timeout-Ms": "100"})
    expect(response.status_code == 504, f"a request past its deadline gets {response.status_code}")
    limits = [f"{one.declared.name} {one.policy.total_timeout:g} s" for one in service.upstreams]
    return ", ".join([*limits, f"a request {service.settings.http.request_deadline_seconds:g} s"])


def _asks_for_older(name: str) -> bool:
    client = Path(upstreams.__path__[0], f"{name}.py")
    return not client.exists() or ".stale.call(" in client.read_text(encoding="utf-8")


@shows("fallbacks")
async def fallbacks(service: Service) -> str:
    """The last good answer of those who keep one; a function for a function; and nothing in the place of a bug."""
    seen = []
    for one in service.upstreams:
        if one.policy.stale_if_error:
            name = one.declared.name
            expect(_asks_for_older(name), f"{name}: stale_if_error, but no call of `stale.call` in its client")
            one.reset()

            async def ask(one: CheckedUpstream = one) -> Stock:
                return await one.connection.get("/stock/A-1", Stock)

            await one.connection.stale.call("checklist", ask)
            one.server.fail(DOWN)
            answer = await one.connection.stale.call("checklist", ask)
            expect(answer.age is not None, f"{one.declared.name}: no older answer")
            one.reset()
            seen.append(f"{one.declared.name} has its last good answer")
    handler = FallbackHandler("checklist", service.state["substitutes"])
    service.take_lines()
    choice = await handler.execute_with_fallback(_unavailable, _substitute)
    expect(choice.by == FALLBACK, "a function does not stand in for a function")
    expect("fallback used" in [line["event"] for line in service.take_lines()], "a substitute leaves no line")
    try:
        await handler.execute_with_fallback(_bug, _substitute)
    except LookupError:
        return ", ".join([*seen, "a function stands in for a function and not for a bug"])
    raise BrokenError("a fallback hides a bug")


async def _unavailable() -> int:
    raise ServiceUnavailableError("checklist")


async def _bug() -> int:
    raise LookupError


async def _substitute() -> int:
    return 0


@shows(RECOVERY)
async def recovery(service: Service) -> str:
    """Each upstream comes back after its circuit was open; the tests of the strategies are run."""
    for one in service.upstreams:
        await open_circuit(one)
        one.server.recover()
        until = time.monotonic() + 5
        breaker = one.connection.pipeline.breaker
        while breaker is None or breaker.state is not CircuitState.CLOSED:
            expect(time.monotonic() < until, f"{one.declared.name}: still not asked again")
            await asyncio.sleep(QUICK["recovery_timeout"] / 4)
            await one.ask()
    [tests] = [item.tests for item in read_page() if item.name == RECOVERY]
    failed = await asyncio.to_thread(failed_tests, tests, "-n0")  # So few are faster alone.
    expect(not failed, f"failed: {', '.join(sorted(failed))}")
    return f"{len(service.upstreams)} came back, {len(tests)} tests passed"


async def open_all(service: Service) -> list[str]:
    """Open the circuit of each upstream, and close it; their names, which the log must tell."""
    service.take_lines()
    for one in service.upstreams:
        await open_circuit(one)
        one.reset()
    names = [one.declared.name for one in service.upstreams]
    told = [line["breaker"] for line in service.take_lines() if line["event"] == "circuit breaker changed"]
    expect(set(names) == set(told), "the log does not tell of each change")
    return names
