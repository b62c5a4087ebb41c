"""ruff, with the settings that a rendered project brings."""

import subprocess
import sys
from pathlib import Path


def ruff(tree: Path, *paths: str) -> str:
    """What `ruff format --check` and `ruff check` complain of; empty when clean."""
    complaints = ""
    for command in (["format", "--check", "--diff"], ["check", "--output-format=concise"]):
        # Without a cache, which would be a file of the project.
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--quiet", *(paths or ["."])],
            cwd=tree,
            capture_output=True,
            text=True,
        )
        if run.returncode:
            complaints += run.stdout + run.stderr
    return complaints
