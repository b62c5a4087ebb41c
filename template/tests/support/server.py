"""A real server on a free port, in a thread or in a process of its own."""

import asyncio
import os
import socket
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn
from starlette.types import ASGIApp

_running: list[uvicorn.Server] = []


def settle(seconds: float = 2.0) -> None:
    """Wait until nothing is being served, for at most so long: the last line of a request comes after its answer."""
    until = time.monotonic() + seconds
    while any(map(_is_busy, _running)) and time.monotonic() < until:
        time.sleep(0.002)


def _is_busy(server: uvicorn.Server) -> bool:
    finished = getattr(getattr(server.config.app, "state", None), "finished", None)
    return bool(server.server_state.tasks or (finished and finished.waiting))


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve `app` and yield its base URL; its lifespan runs, and ends with the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        _running.append(server)
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            _running.remove(server)
            server.should_exit = True
            thread.join()


@asynccontextmanager
async def own_process(
    arguments: Sequence[str], variables: Mapping[str, str], output: int = DEVNULL, errors: int | None = None
) -> AsyncIterator[Process]:
    """Run this Python with `arguments`, in development, and kill what is left of it after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, "ENVIRONMENT": "development", **variables},
        stdout=output,
        stderr=errors,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def started(client: httpx.AsyncClient) -> None:
    """Wait until the service that `client` talks to, a process of its own, has started."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if (await client.get("/startupz")).status_code == 200:
                return
        except httpx.ConnectError:
            await asyncio.sleep(0.02)
    raise AssertionError("the service did not start")


def connect(url: str | httpx.URL) -> httpx.AsyncClient:
    """A client of the server at `url`. It needs no certificates, and loading them would take longer than most tests."""
    return httpx.AsyncClient(base_url=url, verify=False, trust_env=False)
