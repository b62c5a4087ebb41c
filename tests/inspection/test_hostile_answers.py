"""Any text is either refused in one sentence, leaving nothing on disk, or safe in every file that it reaches."""

from __future__ import annotations

import ast
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import yaml
from hypothesis import event, example, given
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
# Most of those are refused, and a refusal says nothing about the files: half of the answers are such as pass.
printable = st.lists(
    st.sampled_from([piece for piece in NASTY if piece.isprintable()])
    | st.text(st.characters(exclude_categories=("C", "Z")), max_size=8)
    | st.just(" "),
    min_size=1,
    max_size=8,
).map(lambda pieces: "".join(pieces).strip()[:80].strip() or "x")
triples = st.tuples(printable, printable, printable) | st.tuples(texts, texts, texts)

identifiers = st.sampled_from(
    ["test", "tests", "class", "fastapi", "json", "src", "x", "../x", "a/b", "CON", "nul", "a--b", "-a", "a_", "é", ""]
) | st.from_regex(r"[a-z][a-z0-9_-]{0,60}", fullmatch=True)
emails = st.sampled_from(
    ["a@b.c", "a@b", "", "é@ü.example", '"a b"@c.d', "a'b@c.d", "a@b.c\n", "a{{x}}@b.c"]
) | st.builds("{}@{}.example".format, texts, texts)


@given(triple=triples)
@example(triple=("x" * 500, "Fine", "Fine"))
@example(triple=("漢" * 80, "字" * 200, "作" * 80))
@example(triple=('"' * 80, "\\" * 200, "'" * 80))
@example(triple=('""" + "', "\\N{BULLET}\\", "{{ 7 * 7 }}"))
@example(triple=("{% raw %}", "{{ undefined.name }}", "{# no end"))
@example(triple=("fastapi", "null", "~"))
@example(triple=("test", "- a: [1, 2]", "*alias"))
@example(triple=("class", "# comment", "%YAML 1.2"))
@example(triple=("../x", "/etc/passwd", ".."))
@example(triple=("", "Fine", "Fine"))
@example(triple=("   ", "Fine", "Fine"))
@example(triple=(" edges ", " edges ", " edges "))
@example(triple=("two\nlines", "Fine", "Fine"))
@example(triple=("Fine", "bell\x07", "Fine"))
@example(triple=("Fine", "Fine", "\ud83d"))
@example(triple=("Fine", "right \u202e left", "Fine"))
@example(triple=("👩\u200d👩\u200d👧 & e\u0301", "\u00a0", "\u3000"))
def test_texts_are_refused_or_safe(source: Path, triple: tuple[str, str, str]) -> None:
    check(source, dict(zip(("project_name", "project_description", "author_name"), triple, strict=True)))


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
            event("refused")
            check_refusal(str(error), destination)
        else:
            event("accepted")
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
