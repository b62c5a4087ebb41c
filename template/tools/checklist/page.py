"""What the page says of each item, and what of that is gone or fails."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = "docs/production-checklist.md"

ROW = re.compile(r"^\| ([^|`]+) \| ([^|]+) \| ([^|]*`[^|]*) \| ([^|]*`[^|]*) \| ([^|]*`[^|]*) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
PATH = re.compile(r"\b(?:docs|ops|src|tests|tools)/[\w./-]+")


class Item(NamedTuple):
    """A row: paths from the root or from the package, ids of tests as pytest has them, and commands."""

    name: str
    files: list[str]
    tests: list[str]
    commands: list[str]


def read_page(root: Path = ROOT) -> list[Item]:
    """The items, in the order of the page."""
    text = (root / PAGE).read_text(encoding="utf-8")
    return [Item(name, *(CODE.findall(cell) for cell in cells)) for name, _, *cells in ROW.findall(text)]


def missing(item: Item, root: Path = ROOT) -> Iterator[str]:
    """What the item names and the service does not have."""
    for path in (*item.files, *PATH.findall(" ".join(item.commands))):
        if not any((base / path).exists() for base in (root, *root.glob("src/*"))):
            yield path
    for test in item.tests:
        path, _, name = test.partition("::")
        if name not in _functions(root / path):
            yield test
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for target in re.findall(r"\bmake ([a-z-]+)", " ".join(item.commands)):
        if target not in targets:
            yield f"make {target}"


def _functions(module: Path) -> set[str]:
    if not module.exists():
        return set()
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def failed_tests(tests: Iterable[str], *options: str, root: Path = ROOT) -> set[str]:
    """Run tests with `options` of pytest; those that have failed, by the ids they were given."""
    wanted = sorted(set(tests))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", *options, *wanted],
        cwd=root,
        env={**os.environ, "ENVIRONMENT": "development"},
        capture_output=True,
        text=True,
    )
    # A run that did not come to its end has shown nothing.
    return {test for test in wanted if done.returncode > 1 or _has_failed(test, done.stdout)}


def _has_failed(test: str, report: str) -> bool:
    lines = (line.split() for line in report.splitlines())
    return any(len(line) > 1 and line[0] in {"FAILED", "ERROR"} and line[1].split("[")[0] == test for line in lines)
