"""`make drill`: what becomes of the service's clients, and of its upstream, while that fails in one way after another.

The service runs as a process of its own beside the unreliable upstream, and so does what a tutorial would have written
(naive.py), for comparison. Both get the same load. The exit status is 0 only if the service has kept what its policy and
its OpenAPI document promise.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx

from tools.drilled import COMMAND, ROUTE, UPSTREAM
from tools.load import KNOWN, PROBE, Clients
from tools.naive import ROUTE as NAIVE_ROUTE
from tools.processes import CannotStartError, Server, free_port, serving
from tools.scorecard import HEADINGS, Promises, Score
from tools.subject import SettingsError, load_settings
from tools.throwaway import throwaway_database
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream

FAULTS: Mapping[str, Fault] = {
    "none": Fault(FaultKind.NONE),
    "hang": Fault(FaultKind.HANG),
    "503": Fault(FaultKind.STATUS, status=503),
    "429": Fault(FaultKind.STATUS, status=429, retry_after=1),
    "reset": Fault(FaultKind.RESET),
    "drip": Fault(FaultKind.DRIP, seconds=0.5),
    "slow_close": Fault(FaultKind.SLOW_CLOSE, seconds=5.0),
}

RATE = 20.0
"""Requests a second."""

LONGEST = 10.0
"""Seconds of a fault: the upstream remembers a thousand requests, and each may come four times."""


class NoRouteError(Exception):
    """The service does not have what is to be drilled."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Drill; the exit status."""
    parser = argparse.ArgumentParser(prog="make drill", description="See the service while its upstream fails.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"{', '.join(FAULTS)}; all by default")
    parser.add_argument("--seconds", type=float, default=5.0, help="that each fault lasts (%(default)g)")
    parser.add_argument(
        "--within", type=float, help="seconds in which clients must have their answers, if not as declared"
    )
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.faults if name not in FAULTS]:
        parser.error(f"there is no fault {unknown[0]!r}; choose from {', '.join(FAULTS)}")
    if not 0.1 <= chosen.seconds <= LONGEST:
        parser.error(f"--seconds must be from 0.1 to {LONGEST:g}")
    if chosen.within is not None and not 0 < chosen.within <= 60:
        parser.error("--within must be above 0 and at most 60")
    try:
        return asyncio.run(_interruptible(chosen.faults or list(FAULTS), chosen.seconds, chosen.within))
    except (SettingsError, CannotStartError, NoRouteError) as error:
        print(f"Cannot drill: {error}", file=sys.stderr)
    except asyncio.CancelledError:
        print("Interrupted.", file=sys.stderr)
    return 1


async def _interruptible(names: Sequence[str], seconds: float, within: float | None) -> int:
    """Ctrl-C and SIGTERM cancel the drill, so that its servers are stopped on the way out."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await _drill(names, seconds, within)


async def _drill(names: Sequence[str], seconds: float, within: float | None) -> int:
    policy = load_settings([UPSTREAM]).policies[UPSTREAM.name]
    async with (
        UnreliableUpstream() as ours,
        UnreliableUpstream() as theirs,
        _service(ours.url) as service,
        _naive(theirs.url) as naive,
    ):
        print("Starting the service, and what a tutorial would have written …\n", flush=True)
        await asyncio.gather(service.started(), naive.started())
        promises = Promises.of(policy, await _documented(service.url), within)
        print("Promised are", *promises.lines(), sep="\n  ")
        print(
            f"Each fault lasts {seconds:g} s, at {RATE:g} requests a second; half ask for what was asked for before.\n"
        )
        print(HEADINGS, flush=True)
        broken: list[str] = []
        # Longer than what is promised, or a promise that is kept would look broken.
        patience = max(10.0, promises.within + 2)
        async with (
            Clients(service.url, ROUTE, patience) as our_clients,
            Clients(naive.url, NAIVE_ROUTE, patience) as their_clients,
        ):
            for name in names:
                mine, other = await asyncio.gather(
                    _play(name, ours, our_clients, seconds, promises.recovery + 5),
                    _play(name, theirs, their_clients, seconds, promises.recovery + 5),
                )
                found = list(promises.broken(mine))
                print(mine.line("service", "BROKEN" if found else "kept"))
                print(other.line("naive"), flush=True)
                broken += found
    print("\n" + ("\n".join(["Broken promises:", *broken]) if broken else "Every promise was kept."))
    return 1 if broken else 0


async def _play(name: str, upstream: UnreliableUpstream, clients: Clients, seconds: float, patience: float) -> Score:
    """One fault: its beginning, the load, its end, and the recovery."""
    await asyncio.gather(*(clients.ask(key) for key in KNOWN))
    begin = time.monotonic()
    upstream.reset_requests()
    upstream.fail(FAULTS[name])
    tasks = await clients.begin(RATE, seconds)
    upstream.recover()
    recovered = await clients.until_fresh(patience)
    answers = await asyncio.gather(*tasks)
    attempts = sum(PROBE not in request.path for request in upstream.requests)
    return Score(name, answers, attempts, recovered, lasted=time.monotonic() - begin)


async def _documented(service: str) -> frozenset[str]:
    """The statuses that the service's OpenAPI document has for the route."""
    async with httpx.AsyncClient(base_url=service, trust_env=False, verify=False) as client:
        document = (await client.get("/openapi.json")).json()
    try:
        return frozenset(document["paths"][ROUTE]["get"]["responses"])
    except KeyError:
        raise NoRouteError(f"the service has no GET {ROUTE}; see tools/drilled.py") from None


@asynccontextmanager
async def _service(upstream: str) -> AsyncIterator[Server]:
    """The service itself, with a database that is thrown away."""
    with throwaway_database() as database:
        port = free_port()
        variables = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ENVIRONMENT": "development",
            "DATABASE_URL": database,
            "DRAIN_DELAY_SECONDS": "0",
            f"{UPSTREAM.name}_BASE_URL".upper(): upstream,
        }
        async with serving("the service", COMMAND, port, variables) as server:
            yield server


def _naive(upstream: str) -> AbstractAsyncContextManager[Server]:
    """What a tutorial would have written."""
    port = free_port()
    return serving("tools/naive.py", ("-m", "tools.naive", str(port), upstream), port, {})


if __name__ == "__main__":
    sys.exit(main())
