"""Rendering the working tree, uncommitted changes included, once per row and test run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from copier import run_copy
from filelock import FileLock
from plumbum import local

from .answers import Answer, Row

ROOT = Path(__file__).parent.parent
TEMPLATE = ("copier.yml", "names.jinja", "licenses", "template")


def copy_template(destination: Path) -> None:
    """Copy what a commit of everything would hold: rendered from there, caches and ignored files cannot help."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run([*git, "--", *TEMPLATE], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, destination / name)


def render(source: Path, destination: Path, answers: Mapping[str, Answer]) -> None:
    """Render as `copier copy --defaults` would, without trust.

    Copier asks git about every file that it writes; without git on the path it renders the same in half the time.
    """
    with local.env(PATH=""):
        run_copy(str(source), destination, data=dict(answers), defaults=True, quiet=True, unsafe=False)


class Trees:
    """Rendered projects, shared by all tests and all workers. Tests read them; who writes makes a copy."""

    def __init__(self, source: Path, directory: Path) -> None:
        self.source = source
        self._directory = directory

    def tree(self, row: Row) -> Path:
        """The project of the answers in `row`."""
        key = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:12]
        return once(self._directory / key, lambda directory: render(self.source, directory, row))


def once(directory: Path, make: Callable[[Path], None]) -> Path:
    """Make a directory the first time that any worker asks for it."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    done = directory.with_name(f"{directory.name}.done")
    with FileLock(f"{directory}.lock"):
        if not done.exists():
            shutil.rmtree(directory, ignore_errors=True)
            make(directory)
            done.touch()
    return directory
