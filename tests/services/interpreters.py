"""The Python versions that this machine has, among those that the template offers."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ..answers import SPACE


@functools.cache
def interpreters() -> Mapping[str, Path]:
    """Interpreters by version, in the order of the choices."""
    found = {str(version): _find(str(version)) for version in SPACE["python_version"]}
    return {version: path for version, path in found.items() if path is not None}


def _find(version: str) -> Path | None:
    uv = Path(sys.executable).with_name("uv")
    environment = os.environ | {"PATH": os.pathsep.join(_places()), "UV_PYTHON_DOWNLOADS": "never"}
    run = subprocess.run(
        [uv, "python", "find", "--system", "--no-project", version], env=environment, capture_output=True, text=True
    )
    return Path(run.stdout.strip()) if run.returncode == 0 else None


def _places() -> list[str]:
    """The search path, with what pyenv installed instead of its shims: one of a version not chosen only complains."""
    path = [place for place in os.environ["PATH"].split(os.pathsep) if Path(place).name != "shims"]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return path + [str(place) for place in sorted(pyenv.glob("versions/*/bin"))]
