"""How the service is run: what it tells of itself, what it refuses, and how it stops."""

import asyncio
from contextlib import suppress

import httpx

from tools.checklist.checks.upstreams import open_circuit
from tools.checklist.registry import expect, shows
from tools.checklist.service import MOST_ACTIVE, VARIABLES, Service
from tools.drilled import COMMAND
from tools.processes import free_port, serving
from tools.subject import OPERATION_PATHS, ServiceLevel, ServiceUnavailableError

PROBES = ("/livez", "/readyz", "/startupz")


@shows("degradation")
async def degradation(service: Service) -> str:
    """Each feature fails and the level follows; held offline, requests are refused and probes are not."""
    levels = service.app.state.degradation
    for feature, breaker in levels.breakers.items():
        with suppress(ServiceUnavailableError), levels.breaker(feature).guard():
            raise ServiceUnavailableError("checklist")
        seen = levels.level is not ServiceLevel.FULL and (await service.report())["status"] == "degraded"
        breaker.close()
        expect(seen, f"{feature.name} fails, and the level does not follow")
        expect(levels.level is ServiceLevel.FULL, f"{feature.name} is back, and the level is not")
    levels.pin(ServiceLevel.OFFLINE)
    refused, probe = await service.client.get("/checklist/slow?seconds=0"), await service.client.get("/livez")
    levels.pin(None)
    expect(refused.status_code == 503, f"offline, a request gets {refused.status_code}")
    expect(probe.status_code == 200, f"offline, a probe gets {probe.status_code}")
    return f"{len(levels.breakers)} features off and on again, offline and back"


@shows("health report")
async def health(service: Service) -> str:
    """It has the database, the level, each circuit breaker as it is, and the share of failed requests."""
    await service.answer_to(LookupError())
    report = await service.report()
    expect(report["checks"]["database"]["status"] == "healthy", "it has no check of the database")
    expect(report["service_level"] == "full", f"the level is {report['service_level']}")
    rates = report["error_rates"]
    expect(all(rates.values()), "it counts no errors: ERROR_HANDLING_ENABLE_ERROR_METRICS is false, or nobody counts")
    names = service.state["upstreams"].keys()  # What stands in for them while there are none is not in the report.
    missing = {"database", *names} - report["circuit_breakers"].keys()
    expect(not missing, f"it does not have {', '.join(sorted(missing))}")
    for one in service.upstreams:
        if one.declared.name in names:
            await open_circuit(one)
            state = (await service.report())["circuit_breakers"][one.declared.name]["state"]
            one.reset()
            expect(state == "open", f"{one.declared.name} is open, and {state} in the report")
    return f"{len(report['circuit_breakers'])} circuit breakers, error rates of {', '.join(rates)}"


@shows("probes")
async def probes(service: Service) -> str:
    """All is well; then the process is told to stop, and only readiness changes."""
    client, lifecycle = service.client, service.app.state.lifecycle
    before = [(await client.get(path)).status_code for path in PROBES]
    lifecycle.draining = True
    after = [(await client.get(path)).status_code for path in PROBES]
    lifecycle.draining = False
    expect(before == [200] * 3, f"{' '.join(PROBES)} answer {before}")
    expect(after == [200, 503, 200], f"while it stops, {' '.join(PROBES)} answer {after}")
    return ", ".join(PROBES)


@shows("bounds of a request")
async def bounds(service: Service) -> str:
    """A body that is too large, and one request too many."""
    most = service.settings.http.max_body_bytes
    headers = {"Content-Length": str(most + 1), "Content-Type": "application/json"}
    large = await service.client.post("/checklist/body", headers=headers)
    expect(large.status_code == 413, f"a body of {most + 1} bytes gets {large.status_code}")
    slow = [asyncio.create_task(service.client.get("/checklist/slow?seconds=0.6")) for _ in range(MOST_ACTIVE)]
    await asyncio.sleep(0.1)
    refused = await service.client.get("/checklist/slow?seconds=0")
    probes = {(await service.client.get(path)).status_code for path in OPERATION_PATHS}
    served = {(await task).status_code for task in slow}
    expect(refused.status_code == 503 and "retry-after" in refused.headers, f"one too many gets {refused.status_code}")
    expect(probes == served == {200}, f"meanwhile others get {sorted(probes | served)}")
    return f"{most} bytes, {service.settings.http.max_active_requests} at a time, probes always"


@shows("draining")
async def draining(service: Service) -> str:
    """A process of its own is told to stop: not ready at once, still answering, then gone with status 0."""
    port = free_port()
    variables = {**VARIABLES, "PORT": str(port), "DATABASE_URL": service.database, "DRAIN_DELAY_SECONDS": "5"}
    async with (
        serving("the service", COMMAND, port, variables) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client,
    ):
        await server.started()
        server.process.terminate()
        for _ in range(20):
            ready, alive = await client.get("/readyz"), await client.get("/livez")
            if "draining" in ready.text:
                break
            await asyncio.sleep(0.05)
        seen = ready.status_code, alive.status_code
        expect("draining" in ready.text and seen == (503, 200), f"told to stop, /readyz and /livez answer {seen}")
        server.process.terminate()  # For the second time: nobody has to wait for the delay.
        code = await asyncio.wait_for(server.process.wait(), 5)
    expect(code == 0, f"the exit status is {code}")
    return "not ready, then gone with status 0"
