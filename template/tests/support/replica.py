"""One replica, in a process of its own: a pipeline whose breaker is shared, and an upstream at a port.

It obeys what comes through a pipe, and answers. `Replica` is the other end.
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any, Self
from unittest.mock import patch

from tests.subject import (
    DEFAULTS,
    BreakerChanged,
    BreakerSync,
    CircuitBreakerOpenError,
    ErrorClassifier,
    Events,
    Pipeline,
    Policy,
    configure_logging,
)

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])  # Once, for it takes a second or two.

POLICY = {
    "total_timeout": 5.0,
    "attempt_timeout": 2.0,
    "max_retries": 0,
    "failure_threshold": 5,
    "recovery_timeout": 0.6,
    "success_threshold": 2,
}


class Upstream:
    """A server that answers well or not, and knows how many calls are under way."""

    def __init__(self) -> None:
        self.well, self.seconds = True, 0.0
        self.calls = self.running = self.most = self.ended = 0
        self.watched = sys.maxsize
        """How many calls are to end before `most` is complete."""

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[tuple[Self, int]]:
        """An upstream and its port."""
        upstream = cls()
        server = await asyncio.start_server(upstream._answer, "127.0.0.1", 0)
        async with server:
            yield upstream, server.sockets[0].getsockname()[1]

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        self.running += 1
        if self.ended < self.watched:
            self.most = max(self.most, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        self.ended += 1
        writer.write(b"good" if self.well else b"bad!")
        writer.close()


class Replica:
    """The process, as its parent has it."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._ours, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=_obey, args=(theirs, about), daemon=True)
        self._process.start()
        theirs.close()

    async def do(self, command: str, **arguments: Any) -> Any:
        """What it says to a command: the functions of `Obedient`."""
        self._ours.send((command, arguments))
        return await asyncio.to_thread(self._ours.recv)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self._ours.close()


@asynccontextmanager
async def replicas(
    count: int, url: str, port: int, *, fleet: str, skew: float = 0.0, policy: Mapping[str, Any] | None = None
) -> AsyncIterator[list[Replica]]:
    """Processes that are in step; the clocks of the first and the last are `skew` seconds away from the others."""
    with ExitStack() as stack:
        members = []
        for number in range(count):
            offset = {0: -skew, count - 1: skew}.get(number, 0.0)
            about = {"url": url, "port": port, "fleet": fleet, "policy": {**POLICY, **(policy or {})}, "skew": offset}
            members.append(Replica(about))
            stack.callback(members[-1].close)
        await asyncio.gather(*(one.do("look") for one in members))
        yield members


async def states(members: Iterable[Replica]) -> list[str]:
    """Of the breakers of all."""
    return [looks["state"] for looks in await asyncio.gather(*(one.do("look") for one in members))]


async def seconds_until(members: Iterable[Replica], state: str, within: float = 5.0) -> float:
    """How long after the last call in all of them the last of them has come to `state`.

    Without the time that the machine has kept them waiting, once for each of three processes that take part in turn: the one
    that reports, Redis, the one that learns.
    """
    until = time.monotonic() + within
    while set(found := await states(members)) != {state}:
        assert time.monotonic() < until, found
        await asyncio.sleep(0.01)
    looks = await asyncio.gather(*(one.do("look") for one in members))
    begin, end = max(one["called_at"] for one in looks), max(one["changed_at"] for one in looks)
    return float(end - begin - 3 * max(one["late"] for one in looks))


class Obedient:
    """The process, as it sees itself."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        skew = about["skew"]
        self._port = about["port"]
        self._pipeline = Pipeline(
            "stock",
            Policy(**about["policy"]).over(DEFAULTS),
            classifier=ErrorClassifier(),
            events=Events({BreakerChanged: self._note}),
            clock=lambda: time.monotonic() + skew,
        )
        self._sync = BreakerSync(about["url"], about["fleet"])
        self._called_at = self._changed_at = self._late = 0.0
        self._load: asyncio.Task[dict[str, Any]] | None = None

    async def main(self, pipe: "Connection[Any, Any]") -> None:
        """Obey until the parent ends it."""
        assert self._pipeline.breaker is not None
        self._tasks = [
            asyncio.create_task(self._sync.run({self._pipeline.breaker: self._pipeline.attempt_timeout})),
            asyncio.create_task(self._watch()),
        ]
        while self._sync.connected is None:
            await asyncio.sleep(0.005)
        while True:
            command, arguments = await asyncio.to_thread(pipe.recv)
            pipe.send(await getattr(self, command)(**arguments))

    async def look(self) -> dict[str, Any]:
        """How things are."""
        breaker = self._pipeline.breaker
        assert breaker is not None
        return {
            "state": breaker.state.value,
            "shared": breaker.shared,
            "called_at": self._called_at,
            "changed_at": self._changed_at,
            "late": self._late,
        }

    async def call(self, times: int = 1) -> list[str]:
        """Call the upstream, one time after the other."""
        return [await self._call() for _ in range(times)]

    async def turn_to(self, port: int) -> None:
        """Take another upstream."""
        self._port = port

    async def begin_load(self, pause: float) -> None:
        """Call what needs no network, again and again with pauses."""
        self._load = asyncio.create_task(self._keep_calling(pause))

    async def end_load(self) -> dict[str, Any]:
        """How it went."""
        assert self._load is not None
        self._load.cancel()
        return await self._load

    def _note(self, _: BreakerChanged) -> None:
        self._changed_at = time.monotonic()

    async def _watch(self) -> None:
        """How late the loop is at the most, since the last call."""
        while True:
            begin = time.monotonic()
            await asyncio.sleep(0.01)
            self._late = max(self._late, time.monotonic() - begin - 0.01)

    async def _call(self) -> str:
        try:
            return await self._pipeline.call(self._ask, idempotent=False)
        except CircuitBreakerOpenError:
            return "refused"
        except ConnectionError:
            return "bad!"

    async def _ask(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = (await reader.read()).decode()
        writer.close()
        self._called_at, self._late = time.monotonic(), 0.0
        if answer != "good":
            raise ConnectionError
        return answer

    async def _keep_calling(self, pause: float) -> dict[str, Any]:
        calls, failed, slowest, late = 0, 0, 0.0, []
        try:
            while True:
                begin = time.perf_counter()
                try:
                    await self._pipeline.call(self._nothing, idempotent=False)
                except Exception:  # noqa: BLE001 - none is expected
                    failed += 1
                calls += 1
                end = time.perf_counter()
                slowest = max(slowest, end - begin)
                await asyncio.sleep(pause)
                late.append(time.perf_counter() - end - pause)
        except asyncio.CancelledError:
            return {"calls": calls, "failed": failed, "slowest": slowest, "latest": max(late)}

    async def _nothing(self) -> None:
        pass


def _obey(pipe: "Connection[Any, Any]", about: Mapping[str, Any]) -> None:
    configure_logging("ERROR")
    wall_clock = time.time
    with patch("time.time", lambda: wall_clock() + about["skew"]):
        asyncio.run(Obedient(about).main(pipe))
