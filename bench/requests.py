"""What a request costs, beside bare FastAPI and beside what is usually put together from other packages.

Each server has a process of its own. Rounds alternate between them, and what is compared is the CPU time that the
server itself used, which whoever makes the load does not touch. Every request leaves its line in the log, which is read
to its end and counted, and its sample in the histogram, which is counted too.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import httptools
import uvloop

from bench.figures import Figure
from bench.render import render_service

ROUNDS, REQUESTS, CONNECTIONS = 21, 2000, 16
USUAL = ("asgi-correlation-id>=4.3", "prometheus-fastapi-instrumentator>=7.1")
ROOT = Path(__file__).resolve().parents[1]
OK, BROKEN, MISSING = "/items/A-1", "/broken/A-1", "/nowhere/A-1"


class Server:
    """One server, its log read as it comes.

    Args:
        python: with all that the servers need.
        kind: of server, as in served.py.
        environment: added to that of this process.

    Attributes:
        lines: log lines so far.
    """

    def __init__(self, python: Path, kind: str, environment: dict[str, str]) -> None:
        """Start it."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.lines = 0
        command: list[str | Path] = [python, "-m", "bench.served", kind, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment})
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines += b'"duration_ms"' in line

    async def ready(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + 30
        while True:
            try:
                await fetch(self.port, "/_cpu")
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                await asyncio.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it; its log is complete then."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()


class _Client(asyncio.Protocol):
    """One connection that sends the same request again and again."""

    def __init__(self, path: str, count: int) -> None:
        """Send `count` requests for `path`, one after the other."""
        self._request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self._left = count
        self._parser = httptools.HttpResponseParser(self)
        self.body = b""
        self.statuses: set[int] = set()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body = body

    def on_message_complete(self) -> None:
        self.statuses.add(self._parser.get_status_code())
        self._left -= 1
        if self._left > 0:
            self._transport.write(self._request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError(f"{self._left} requests were not answered"))


async def fetch(port: int, path: str, count: int = 1) -> _Client:
    """`count` requests one after the other on one connection."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: _Client(path, count), "127.0.0.1", port)
    await client.done
    return client


async def burst(server: Server, path: str) -> tuple[float, float]:
    """CPU seconds and seconds of `REQUESTS` requests."""
    before = float((await fetch(server.port, "/_cpu")).body)
    begin = time.perf_counter()
    await asyncio.gather(*(fetch(server.port, path, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - begin
    return float((await fetch(server.port, "/_cpu")).body) - before, seconds


@contextmanager
def servers() -> Iterator[dict[str, Server]]:
    """All servers of the comparison."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        project = render_service(Path(folder), {})
        python = project / ".venv/bin/python"
        # All in one environment, so that they differ in nothing but what is compared.
        make = ["make", "--no-print-directory", "install", f"PYTHON={sys.executable}"]
        subprocess.run(make, cwd=project, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([python, "-m", "uv", "pip", "install", "--quiet", "--python", python, *USUAL], check=True)
        environment = {"DATABASE_URL": f"sqlite+aiosqlite:///{folder}/bench.db", "PYTHONPATH": str(ROOT)}
        started = {}
        for kind in ("bare", "usual", "ours"):
            started[kind] = Server(python, kind, environment)
            stack.callback(started[kind].stop)
        yield started


def figures() -> list[Figure]:
    """CPU time and rate of requests against bare FastAPI, and the CPU time of a bug against a good answer of it."""
    with servers() as started, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(started))


async def _measure(started: dict[str, Server]) -> list[Figure]:
    for server in started.values():
        await server.ready()
    subjects = {
        ("bare", OK): started["bare"],
        ("usual", OK): started["usual"],
        ("ours", OK): started["ours"],
        ("ours", BROKEN): started["ours"],
        ("ours", MISSING): started["ours"],
        ("bare", MISSING): started["bare"],
    }
    cpu: dict[tuple[str, str], list[float]] = {subject: [] for subject in subjects}
    wall: dict[tuple[str, str], list[float]] = {subject: [] for subject in subjects}
    order = list(subjects)
    for number in range(ROUNDS + 1):
        order.reverse()
        for subject in order:
            used, seconds = await burst(subjects[subject], subject[1])
            if number:  # The first one warms up.
                cpu[subject].append(used)
                wall[subject].append(seconds)
    asked = (ROUNDS + 1) * REQUESTS // CONNECTIONS * CONNECTIONS
    exposition = (await fetch(started["ours"].port, "/metrics")).body.decode()
    await asyncio.sleep(0.5)
    _check(started["ours"], exposition, asked)
    for (kind, path), samples in cpu.items():
        print(f"requests {kind:6} {path:14} {sorted(samples)[len(samples) // 2] / REQUESTS * 1e6:8.1f} µs of CPU each")
    bare, good = ("bare", OK), ("ours", OK)
    return [
        Figure("request_cpu_vs_bare", _ratio(cpu[bare], cpu[good]), bar=0.9, at_most=False),
        Figure("request_rps_vs_bare", _ratio(wall[bare], wall[good]), bar=0.9, at_most=False),
        Figure("request_cpu_vs_usual", _ratio(cpu["usual", OK], cpu[good]), bar=1.0, at_most=False),
        Figure("unhandled_error_vs_bare", _ratio(cpu[bare], cpu["ours", BROKEN]), bar=0.7, at_most=False),
        Figure("not_found_vs_bare", _ratio(cpu["bare", MISSING], cpu["ours", MISSING]), bar=0.5, at_most=False),
    ]


def _check(server: Server, exposition: str, asked: int) -> None:
    """Every request has left its line and its sample."""
    for route, status in (("/items/{sku}", 200), ("/broken/{sku}", 500)):
        name = f'http_server_request_duration_seconds_count{{method="GET",route="{route}",status="{status}"}} '
        [count] = [line.removeprefix(name) for line in exposition.splitlines() if line.startswith(name)]
        if float(count) != asked:
            raise AssertionError(f"{count} samples of {route} instead of {asked}")
    # Three paths, and the scrape.
    if server.lines != 3 * asked + 1:
        raise AssertionError(f"{server.lines} log lines instead of {3 * asked + 1}")


def _ratio(ones: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]
