"""The server: uvicorn, told to drain before it stops."""

import gc
import signal
import time
from contextlib import suppress
from socket import socket
from types import FrameType

import uvicorn

from .settings import ServerSettings
from .web.application import Application


class DrainingServer(uvicorn.Server):
    """On SIGTERM: not ready at once, new connections refused a moment later, then requests in flight finish.

    The moment between is for whoever routes traffic to notice that this replica is not ready any more. Ctrl-C and a
    second SIGTERM skip it.
    """

    def __init__(self, config: uvicorn.Config, app: Application, delay: float) -> None:
        super().__init__(config)
        self._app = app
        self._delay = delay
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Called by uvicorn before it listens."""
        await super().startup(sockets)
        # What is there by now stays, so the garbage collector need not look through it each time: that is a twentieth of
        # what a request costs.
        gc.collect()
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal."""
        first = self._stop_at is None
        self._app.state.lifecycle.draining = True
        self._stop_at = time.monotonic()
        if first and sig == signal.SIGTERM:
            self._stop_at += self._delay
        elif sig == signal.SIGINT:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; true ends the service."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(app: Application, settings: ServerSettings) -> None:
    """Serve `app` until the process is told to stop. Access lines are ours: uvicorn's would halve the throughput."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C, which uvicorn passes on after it has stopped.
        DrainingServer(config, app, settings.drain_delay_seconds).run()
