"""Any text is either refused in one sentence, leaving nothing on disk, or safe in every file that it reaches."""

from __future__ import annotations

import ast
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ..answers import Row
from ..rendering import render
from .files import problems
from .ruff import ruff

# fmt: off
NASTY = [
    "'", '"', '"""', "\\", "\\N{BULLET} \\x \\u12", "`", "{{ x }}", "{% raw %}", "{# c", "${{ secrets.X }}", "%(a)s",
    "{0}", "# fmt: skip", ": ", "- ", "&a", "*a", "!!python/object", "|", ">", "@", "?", "~", "null", "yes", "1.0",
    "0x1F", "1e3", "2026-01-01", "[x]", "{a: b}", "'''", "---", "$(id)", "$$", "; rm", "<b>", "🚀", "é", "e\u0301",
    "漢字", "مرحبا", "\u00a0", "\u3000", "\u200b", "\u200d", "\U000e0041", "\n", "\r", "\t", "\x00", "\x1b[31m", "\x7f",
    "\x85", "\u2028", "\u202e", "\ud800", "\ufeff", "\ufffe", "\U0001fffe",
]
# fmt: on
"""Pieces with a meaning to some format or tool that an answer passes through."""

texts = st.lists(st.sampled_from(NASTY) | st.text(max_size=8) | st.text("abc XYZ-_.019", max_size=20), max_size=6).map(
    "".join
)
identifiers = st.sampled_from(
    ["test", "tests", "class", "fastapi", "json", "src", "x", "../x", "a/b", "CON", "nul", "a--b", "-a", "a_", "é", ""]
) | st.from_regex(r"[a-z][a-z0-9_-]{0,60}", fullmatch=True)
emails = st.sampled_from(
    ["a@b.c", "a@b", "", "é@ü.example", '"a b"@c.d', "a'b@c.d", "a@b.c\n", "a{{x}}@b.c"]
) | st.builds("{}@{}.example".format, texts, texts)


@given(project_name=texts, project_description=texts, author_name=texts)
@example(project_name="x" * 500, project_description="Fine", author_name="Fine")
@example(project_name="漢" * 80, project_description="字" * 200, author_name="作" * 80)
@example(project_name='"' * 80, project_description="\\" * 200, author_name="'" * 80)
@example(project_name='""" + "', project_description="\\N{BULLET}\\", author_name="{{ 7 * 7 }}")
@example(project_name="{% raw %}", project_description="{{ undefined.name }}", author_name="{# no end")
@example(project_name="fastapi", project_description="null", author_name="~")
@example(project_name="test", project_description="- a: [1, 2]", author_name="*alias")
@example(project_name="class", project_description="# comment", author_name="%YAML 1.2")
@example(project_name="../x", project_description="/etc/passwd", author_name="..")
@example(project_name="", project_description="Fine", author_name="Fine")
@example(project_name="   ", project_description="Fine", author_name="Fine")
@example(project_name=" edges ", project_description=" edges ", author_name=" edges ")
@example(project_name="two\nlines", project_description="Fine", author_name="Fine")
@example(project_name="Fine", project_description="bell\x07", author_name="Fine")
@example(project_name="Fine", project_description="Fine", author_name="\ud83d")
@example(project_name="Fine", project_description="right \u202e left", author_name="Fine")
@example(project_name="👩\u200d👩\u200d👧 & e\u0301", project_description="\u00a0", author_name="\u3000")
def test_texts_are_refused_or_safe(source: Path, project_name: str, project_description: str, author_name: str) -> None:
    answers = {"project_name": project_name, "project_description": project_description, "author_name": author_name}
    check(source, dict(answers))


@given(project_slug=identifiers, package_name=identifiers, author_email=emails)
@example(project_slug="fastapi", package_name="x", author_email="a@b.c")
@example(project_slug="x", package_name="test", author_email="a@b.c")
@example(project_slug="x", package_name="match", author_email="a@b.c")
@example(project_slug="x" * 500, package_name="x", author_email="a@b.c")
@example(project_slug="x", package_name="x" * 50, author_email="a" * 100 + "@example.com")
@example(project_slug="../x", package_name="x", author_email="a@b.c")
@example(project_slug="x", package_name="..", author_email="a@b.c")
@example(project_slug="x", package_name="a.b", author_email="a@b.c")
@example(project_slug="x\n", package_name="x", author_email="a@b.c")
@example(project_slug="x", package_name="x\n", author_email="a@b.c")
@example(project_slug="x", package_name="x", author_email="a@b.c\n")
@example(project_slug="x", package_name="x", author_email="it's+{{x}}@bücher.example")
@example(project_slug="true", package_name="null", author_email="1@2.3")
@example(project_slug="no", package_name="on", author_email="yes@no.no")
@example(project_slug="e1", package_name="e1", author_email="a@b.c")
def test_names_and_addresses_are_refused_or_safe(
    source: Path, project_slug: str, package_name: str, author_email: str
) -> None:
    check(source, {"project_slug": project_slug, "package_name": package_name, "author_email": author_email})


def check(source: Path, answers: Row) -> None:
    """Render in an empty place; then either the refusal or the project has to be right."""
    with tempfile.TemporaryDirectory() as place:
        destination = Path(place, "project")
        try:
            render(source, destination, answers)
        except ValueError as error:
            check_refusal(str(error), destination)
        else:
            check_project(destination, answers)


def check_refusal(message: str, destination: Path) -> None:
    assert message.startswith("Validation error for question")
    assert message.count("\n") == 0
    assert message.isprintable()
    assert message.endswith(".")
    assert not destination.exists() or not any(destination.iterdir())


def check_project(destination: Path, answers: Row) -> None:
    assert problems_besides_braces(destination, answers) == []
    project = tomllib.loads((destination / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stored: dict[str, Any] = yaml.safe_load((destination / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert {name: stored[name] for name in answers} == answers
    assert project["name"] == stored["project_slug"]
    assert project["description"] == stored["project_description"]
    assert project["authors"] == [{"name": stored["author_name"], "email": stored["author_email"]}]

    package = destination / "src" / str(stored["package_name"])
    assert stored["project_name"] in strings(package / "app.py")
    complaints = ruff(destination)
    assert not complaints, complaints


def problems_besides_braces(destination: Path, answers: Row) -> list[str]:
    """An answer may hold template syntax; that is text like any other."""
    braces = any(brace in str(answer) for answer in answers.values() for brace in ("{{", "{%", "{#"))
    return [problem for problem in problems(destination) if not (braces and "template syntax" in problem)]


def strings(file: Path) -> set[object]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
