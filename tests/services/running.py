"""Running the commands of a rendered service as its owner would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

UV = Path(sys.executable).with_name("uv")
LONGEST_RUN = 900
"""Seconds; a command that takes longer hangs."""


def interpreter(version: str) -> Path | None:
    """The Python of this version, if the machine has it."""
    find = subprocess.run(
        [UV, "python", "find", "--no-python-downloads", "--no-project", "--system", version],
        capture_output=True,
        text=True,
    )
    return Path(find.stdout.strip()) if find.returncode == 0 else None


def run(service: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the service, without what this test run brings along."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "GIT_", "MAKE"))}
    for name in ("MFLAGS", "VIRTUAL_ENV", "ENVIRONMENT"):
        kept.pop(name, None)
    return subprocess.run(
        command, cwd=service, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST_RUN
    )


def succeed(service: Path, *command: str) -> str:
    """Run a command that must end well; what it printed."""
    done = run(service, *command)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-6000:]}"
    return done.stdout


def copy(tree: Path, service: Path) -> Path:
    """A copy of a rendered tree, to install and change."""
    return shutil.copytree(tree, service, symlinks=True)
