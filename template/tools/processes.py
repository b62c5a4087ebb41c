"""Servers that run as processes of their own and end with the block that started them."""

import asyncio
import os
import secrets
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO

import httpx

START_SECONDS = 30.0
STOP_SECONDS = 5.0


class CannotStartError(Exception):
    """A server did not start; the text says why."""


@dataclass(frozen=True)
class Server:
    """A process that serves at `url`, or will."""

    who: str
    url: str
    process: Process
    log: IO[bytes]

    async def started(self) -> None:
        """Wait until it serves.

        Raises:
            CannotStartError: with the last line of what it has written.
        """
        async with httpx.AsyncClient(base_url=self.url, timeout=1.0, trust_env=False, verify=False) as client:
            for _ in range(round(START_SECONDS / 0.05)):
                if self.process.returncode is not None:
                    break
                try:
                    if (await client.get("/livez")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        self.log.seek(0)
        last = self.log.read().decode(errors="replace").strip().splitlines()[-1:]
        raise CannotStartError(" ".join([f"{self.who} did not start.", *last]))


@asynccontextmanager
async def serving(who: str, command: Sequence[str], port: int, variables: Mapping[str, str]) -> AsyncIterator[Server]:
    """A process of this Python that is to serve on `port`.

    Args:
        who: it is, in errors.
        command: arguments of the interpreter.
        port: that `command` or `variables` tell it of.
        variables: of its environment, over those of this process.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env={**os.environ, **variables}, stdout=log, stderr=log
        )
        try:
            yield Server(who, f"http://127.0.0.1:{port}", process, log)
        finally:
            await _stop(process)


async def _stop(process: Process) -> None:
    """End it, and wait; a second Ctrl-C ends the waiting, not the process."""
    try:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def free_port() -> int:
    """A port that nobody listens on; of those that no system gives to outgoing connections, so that it stays free."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
