"""`make demo`: render the default service, install it, run it beside an unreliable upstream, and watch.

Everything happens in `build/demo` and on loopback. The exit status is 0 only if every step was seen.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import copier

from demo.http import ask
from demo.steps import STEPS, NotSeenError, Stage
from tests.rendering import copy_template

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "demo"
START_SECONDS = 60


def main() -> int:
    """Play every step; the exit status."""
    project = FOLDER / "orders-service"
    if project.exists():
        shutil.rmtree(project)
    say("Rendering the template with its default answers …")
    render(project)
    say("Installing what the service needs …")
    subprocess.run(["make", "--no-print-directory", "install", f"PYTHON={sys.executable}"], cwd=project, check=True)
    subprocess.run(["make", "--no-print-directory", "migrate"], cwd=project, check=True)
    with stage(project) as played:
        for step in STEPS:
            say(f"\n── {step.__doc__}")
            try:
                for line in step(played):
                    say(f"   {line}")
            except (NotSeenError, OSError) as error:
                say(f"   ✗ {error}")
                say(f"\nThe log is in {played.log}.")
                return 1
    say("\nEverything was seen. The service is in build/demo/orders-service: make run, make test.")
    return 0


def render(project: Path) -> None:
    """Render the working tree as it is, committed or not."""
    source = FOLDER / "template"
    if source.exists():
        shutil.rmtree(source)
    copy_template(source)
    copier.run_copy(str(source), project, defaults=True, quiet=True)


@contextmanager
def stage(project: Path) -> Iterator[Stage]:
    """The service and its upstream, running until the block ends."""
    python = project / ".venv" / "bin" / "python"
    service_port, upstream_port = free_ports(2)
    stage = Stage(
        service=f"http://127.0.0.1:{service_port}",
        upstream=f"http://127.0.0.1:{upstream_port}",
        database=project / "service.db",
        log=project / "service.log",
    )
    variables = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        "PORT": str(service_port),
        "INVENTORY_BASE_URL": stage.upstream,
        "DRAIN_DELAY_SECONDS": "0",
    }
    with (
        stage.log.open("w", encoding="utf-8") as log,
        running([str(python), "tools/unreliable_upstream.py", "--port", str(upstream_port)], project),
        running([str(python), "-m", "orders_service"], project, log.fileno(), variables),
    ):
        wait_for(f"{stage.service}/startupz")
        wait_for(f"{stage.upstream}/healthz")
        yield stage


@contextmanager
def running(
    command: list[str], folder: Path, output: int = subprocess.DEVNULL, variables: dict[str, str] | None = None
) -> Iterator[None]:
    """A process that ends with the block."""
    process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=variables)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str) -> None:
    """Return once `url` answers with 200.

    Raises:
        OSError: it did not within `START_SECONDS`.
    """
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            if ask("GET", url, timeout=5).status == 200:
                return
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for probe in sockets:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
