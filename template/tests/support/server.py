"""A real server on a free port, in a thread of its own."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

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


def connect(url: str | httpx.URL) -> httpx.AsyncClient:
    """A client of the server at `url`. It needs no certificates, and loading them would take longer than most tests."""
    return httpx.AsyncClient(base_url=url, verify=False, trust_env=False)
