"""What may be wrong with one rendered file, as sentences. Files that many projects share are read once."""

from __future__ import annotations

import ast
import functools
import json
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import yaml

LEFTOVER = re.compile(r"\{\{|\{%|\{#")

ALLOWED_BRACES = [
    ("*.py", re.compile(r"\{\{(?! )"), "an escaped brace of a format string; ours has a space after it"),
    ("*.yml", re.compile(r"\$\{\{"), "an expression of GitHub Actions"),
    ("alerts.yml", re.compile(r"\{\{ \$\w"), "a template of Prometheus, in alert rules"),
    ("*.json", re.compile(r"\{\{\w+\}\}"), "a legend of Grafana"),
]
"""Braces that are meant: which files, what they look like, why."""

FENCED = re.compile(r"^```python\n.*?^```$", re.MULTILINE | re.DOTALL)

NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')


def files(tree: Path) -> list[Path]:
    """The files of a project, as paths relative to it."""
    return sorted(path.relative_to(tree) for path in tree.rglob("*") if not path.is_dir())


def problems(tree: Path) -> list[str]:
    """All that is wrong with the files of a project, one line each."""
    return [*_names(tree), *(f"{path}: {text}" for path in files(tree) for text in _contents(path, tree / path))]


def _names(tree: Path) -> Iterator[str]:
    seen: dict[str, Path] = {}
    for path in sorted(path.relative_to(tree) for path in tree.rglob("*")):
        if any(NOT_ON_WINDOWS.search(part) for part in path.parts):
            yield f"{path}: no name for a file on Windows"
        other = seen.setdefault(path.as_posix().lower(), path)
        if other != path:
            yield f"{path}: differs from {other} in case alone"


def _contents(path: Path, file: Path) -> tuple[str, ...]:
    return _problems_of(path.suffix or path.name, path.name, file.read_bytes())


@functools.cache
def _problems_of(kind: str, name: str, content: bytes) -> tuple[str, ...]:
    text = content.decode("utf-8")
    found = [*_parse(kind, text), *_braces(name, text)]
    if kind == ".md":
        text = FENCED.sub("```\n```", text)
    if kind != ".py":  # ruff knows better where Python wants blank lines, in a file or in a page.
        found += _lines(text)
    return tuple(found)


def _parse(kind: str, text: str) -> Iterator[str]:
    parse = PARSERS.get(kind)
    if parse is not None:
        try:
            parse(text)
        except Exception as error:
            yield f"cannot be read: {error!r}"


def _python(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile(ast.parse(text), "<rendered>", "exec", dont_inherit=True)


def _braces(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        rest = line
        for pattern, meant, _ in ALLOWED_BRACES:
            if PurePosixPath(name).match(pattern):
                rest = meant.sub("", rest)
        if LEFTOVER.search(rest):
            yield f"line {number} holds template syntax: {line.strip()}"


def _lines(text: str) -> Iterator[str]:
    if not text:
        return
    if "\r" in text:
        yield "holds a carriage return"
    if text.startswith("\n"):
        yield "begins with a blank line"
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield "does not end with exactly one newline"
    for number, (before, line) in enumerate(zip(["?", *text.split("\n")], text.split("\n"), strict=False), 1):
        if before == line == "" and number < text.count("\n"):
            yield f"line {number} is a second blank line"
        if line != line.rstrip():
            yield f"line {number} has spaces at its end"


PARSERS: dict[str, Callable[[str], object]] = {
    ".py": _python,
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".yml": lambda text: list(yaml.safe_load_all(text)),
    ".yaml": lambda text: list(yaml.safe_load_all(text)),
}
