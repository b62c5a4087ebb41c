"""Runs of `make checklist`, on the service or on a copy of it that was broken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", ".*_cache", ".hypothesis", ".database", "*.db*")

Line = tuple[str, str]


def run_checklist(root: Path, *items: str, **variables: str) -> tuple[int, dict[str, Line], str]:
    """The exit status, the verdict on each item with its reason, and the errors."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.checklist", *items],
        cwd=root,
        env={**os.environ, "ENVIRONMENT": "development", "PYTHONPATH": str(root / "src"), **variables},
        capture_output=True,
        text=True,
    )
    lines = re.findall(r"^(pass|FAIL|not run) +(\S.*?)  +(.*)$", done.stdout, re.MULTILINE)
    return done.returncode, {item: (verdict, reason) for verdict, item, reason in lines}, done.stderr


def copy_service(folder: Path) -> Path:
    """A copy in `folder`, to break things in."""
    return Path(shutil.copytree(ROOT, folder / "copy", ignore=LEFT_OUT))


def change(root: Path, path: str, old: str, new: str) -> None:
    """Replace a text that occurs in a file of the service or of its package."""
    [file] = [base / path for base in (root, *root.glob("src/*")) if (base / path).is_file()]
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{path}: {old}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def assert_red(told: dict[str, Line], items: dict[str, str]) -> None:
    """Each of `items` fails, for its reason."""
    for item, reason in items.items():
        assert told[item][0] == "FAIL", item
        assert reason in told[item][1]
