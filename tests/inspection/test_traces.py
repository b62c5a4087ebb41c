"""What an answer leaves out leaves no trace: no file, no dependency, no word."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from ..answers import INSPECTED, SPACE, Answer, Row, label
from ..rendering import Trees
from .files import files

TRACES: dict[str, dict[Answer, str]] = {
    "license": {
        "Proprietary": r"LicenseRef-Proprietary|all rights reserved\.",
        "MIT": r"\bMIT\b",
        "Apache-2.0": r"Apache",
        "BSD-3-Clause": r"\bBSD\b",
    },
    "database": {"sqlite": r"sqlite", "postgresql": r"postgres|asyncpg|psycopg"},
    "redis_breakers": {True: r"redis(?!tribut)"},
    "prometheus": {True: r"prometheus|grafana|promtool|/metrics|\bmetrics\b"},
    "structlog": {True: r"structlog"},
    "error_format": {"envelope": r"\benvelope\b|\bErrorContent\b", "problem": r"problem\+json|RFC 9457"},
    "example": {True: r"\borders(_|\b)|inventory"},
    "docker": {True: r"docker|\bcompose\b"},
    "kubernetes": {True: r"kubernetes|kubectl|kustomiz|\bdeploy/"},
    "ci": {"github": r"\.github|GitHub Actions", "gitlab": r"gitlab"},
}
"""For each answer, what a project with another answer does not say; `True` stands for a feature that is on."""

UNTRACED = {"python_version": "a number says nothing by itself", "ci": "`none` adds nothing"}

ALLOWED: dict[tuple[str, Answer], list[tuple[str, str, str]]] = {
    ("license", "Proprietary"): [("LICENSE", r"all rights reserved\.", "the BSD licence says it too")],
    ("database", "postgresql"): [("tests/observability/test_redaction.py", "postgresql://", "a secret to be masked")],
    ("kubernetes", True): [("Dockerfile", "Kubernetes cannot tell", "the reason for a line that every image needs")],
}
"""Traces that are meant: in which files, what, why."""

NOT_READ = {".copier-answers.yml": "holds the name of every question"}

every_row = pytest.mark.parametrize("row", INSPECTED, ids=lambda row: label(row, SPACE))


def traces(tree: Path, question: str, answer: Answer) -> list[str]:
    """Where a project tells of an answer that it was not given."""
    trace = re.compile(TRACES[question][answer], re.IGNORECASE)
    allowed = ALLOWED.get((question, answer), [])
    found = []
    for path in files(tree):
        if path.name in NOT_READ:
            continue
        text = (tree / path).read_text(encoding="utf-8")
        for pattern, meant, _ in allowed:
            if PurePosixPath(path).match(pattern):
                text = re.sub(meant, "", text, flags=re.IGNORECASE)
        found += [f"{path}:{number}: {line.strip()}" for number, line in _lines(path, text) if trace.search(line)]
    return found


def _lines(path: Path, text: str) -> list[tuple[int, str]]:
    return [(0, path.as_posix()), *enumerate(text.splitlines(), 1)]


def absent(row: Row) -> list[tuple[str, Answer]]:
    """The answers with traces that `row` does not give."""
    return [(name, answer) for name, by in TRACES.items() if name in row for answer in by if row[name] != answer]


@every_row
def test_nothing_tells_of_what_was_left_out(trees: Trees, row: Row) -> None:
    tree = trees.tree(row)
    found = {f"{name}={answer}": lines for name, answer in absent(row) if (lines := traces(tree, name, answer))}
    if found:
        pytest.fail("\n".join("\n  ".join([answer, *lines]) for answer, lines in found.items()), pytrace=False)


def test_every_answer_has_a_trace_or_a_reason_for_none() -> None:
    for name, choices in SPACE.items():
        for answer in choices:
            assert answer in TRACES.get(name, {}) or answer is False or name in UNTRACED


ASKED = [(name, answer) for name, by in TRACES.items() for answer in by if answer in SPACE.get(name, ())]


@pytest.mark.parametrize(("question", "answer"), ASKED)
def test_what_was_chosen_does_leave_a_trace(trees: Trees, question: str, answer: Answer) -> None:
    """A pattern that matches nothing anywhere would make the test above worthless."""
    chosen = next(row for row in INSPECTED if row[question] == answer)
    assert traces(trees.tree(chosen), question, answer)


@every_row
def test_no_folder_is_empty(trees: Trees, row: Row) -> None:
    tree = trees.tree(row)
    assert [path for path in tree.rglob("*") if path.is_dir() and not any(path.iterdir())] == []
