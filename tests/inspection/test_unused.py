"""What a feature alone needs goes with it: no module is left that nothing imports, and no such dependency."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..answers import INSPECTED, SPACE, Row, label
from ..rendering import Trees

TOGGLES = ("structlog", "prometheus", "redis_breakers")

ROWS = [
    next(row for row in INSPECTED if row["example"] and tuple(row[name] for name in TOGGLES) == answers)
    for answers in itertools.product((True, False), repeat=len(TOGGLES))
]
"""Every combination of them; with the example, for without it the service offers what it does not use yet itself."""

STARTED = {"__main__", "migrate", "settings_report"}
"""Modules that people start."""

IMPORTED_AS = {"python-dotenv": "dotenv", "opentelemetry-api": "opentelemetry"}

BY_NAME = {"aiosqlite", "asyncpg"}
"""Drivers, which SQLAlchemy imports by the URL of the database."""


def modules(tree: Path) -> dict[str, Path]:
    """The modules of a service by their name below the package; Alembic finds migrations by their folder."""
    [root] = [path for path in (tree / "src").iterdir() if path.is_dir()]
    paths = [path for path in root.rglob("*.py") if "migrations" not in path.parts and path.name != "__init__.py"]
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}


def dependencies(tree: Path) -> list[str]:
    """What a service needs to run, by name."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[\[><=]", requirement)[0] for requirement in project["dependencies"]]


def imports(module: str, text: str) -> Iterator[str]:
    """What it imports, below the package or elsewhere; of `from a import b`, both `a` and `a.b`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def unused(tree: Path) -> set[str]:
    """The modules and the dependencies that nothing in a service imports."""
    known = modules(tree)
    imported = {name for module, path in known.items() for name in imports(module, path.read_text(encoding="utf-8"))}
    libraries = {name.split(".")[0] for name in imported}
    needed = {name for name in dependencies(tree) if IMPORTED_AS.get(name, name.replace("-", "_")) in libraries}
    return (known.keys() - imported - STARTED) | (set(dependencies(tree)) - needed - BY_NAME)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: label(row, SPACE))
def test_nothing_is_left_that_nothing_needs(trees: Trees, row: Row) -> None:
    assert unused(trees.tree(row)) == set()


def test_what_is_left_is_found(trees: Trees, tmp_path: Path) -> None:
    """A service without any of the three, with the dependencies of one with all, and with a module of its own."""
    tree = tmp_path / "service"
    shutil.copytree(trees.tree(ROWS[-1]), tree)
    shutil.copy(trees.tree(ROWS[0]) / "pyproject.toml", tree)
    modules(tree)["app"].with_name("left.py").touch()
    assert unused(tree) == {"structlog", "prometheus-client", "redis", "left"}
