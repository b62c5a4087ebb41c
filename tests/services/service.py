"""A rendered service as its developers have it: in a repository, installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..answers import Row
from ..rendering import Trees
from ..update.projects import commit, git
from .interpreters import interpreters

NOT_PASSED_ON = ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "PYTEST_CURRENT_TEST", "UV_PYTHON")
"""A developer's shell does not run inside our own `make test`."""


def environment() -> dict[str, str]:
    """The environment of a developer's shell."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    return {name: value for name, value in kept.items() if not name.startswith(("PYTEST_XDIST_", "GIT_"))}


def run(directory: Path, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a service, its output in one piece."""
    return subprocess.run(
        command,
        cwd=directory,
        env=environment() | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )


def make(directory: Path, target: str, row: Row) -> None:
    """Run a target, or fail with the end of what it printed."""
    python = interpreters()[str(row["python_version"])]
    done = run(directory, "make", target, PYTHON=str(python))
    if done.returncode:
        pytest.fail(f"make {target} failed ({done.returncode}):\n{done.stdout[-8000:]}", pytrace=False)


def install(trees: Trees, row: Row, directory: Path) -> None:
    """Render, install and commit."""
    shutil.copytree(trees.tree(row), directory)
    make(directory, "install", row)
    git(directory, "init", "--quiet")
    commit(directory, "Start")


def copy_of_sources(service: Path, destination: Path) -> Path:
    """What the service's tools read, without its environment: a place to break things in."""
    return shutil.copytree(
        service, destination, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__")
    )
