"""Whatever the answers, every file parses, is tidy and passes the linter that comes with it."""

import shutil
from pathlib import Path

import pytest

from ..answers import INSPECTED, SPACE, Row, label
from ..rendering import ROOT, Trees
from .files import NOT_ON_WINDOWS, problems
from .ruff import ruff

every_row = pytest.mark.parametrize("row", INSPECTED, ids=lambda row: label(row, SPACE))


@every_row
def test_every_file_parses_and_is_tidy(trees: Trees, row: Row) -> None:
    if found := problems(trees.tree(row)):
        pytest.fail("\n".join(found), pytrace=False)


@every_row
def test_the_formatter_and_the_linter_have_nothing_to_say(trees: Trees, row: Row) -> None:
    if complaints := ruff(trees.tree(row)):
        pytest.fail(complaints, pytrace=False)


def test_the_template_can_be_cloned_on_windows(source: Path) -> None:
    names = [path.relative_to(source).as_posix() for path in source.rglob("*")]
    assert [name for name in names if any(NOT_ON_WINDOWS.search(part) for part in name.split("/"))] == []
    assert len({name.lower() for name in names}) == len(names)


def test_no_cache_or_secret_is_part_of_the_template(source: Path) -> None:
    suspicious = {"__pycache__", ".ruff_cache", ".mypy_cache", ".pytest_cache", ".venv", ".env"}
    assert [path for path in source.rglob("*") if path.name in suspicious] == []
    assert (source / "copier.yml").read_bytes() == (ROOT / "copier.yml").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.yaml", b"a: [1\n", "cannot be read"),
        ("a.toml", b"a = \n", "cannot be read"),
        ("a.json", b"{,}\n", "cannot be read"),
        ("a.py", b"def f(:\n", "cannot be read"),
        ("a.py", b'"\\d"\n', "cannot be read"),
        ("a.md", b"{{ project_name }}\n", "template syntax"),
        ("a.py", b"x = '{{ package_name }}'\n", "template syntax"),
        ("a.yml", b"a: 1  # {% if x %}\n", "template syntax"),
        ("a.md", b"a\n\n\nb\n", "second blank line"),
        ("a.md", b"a\n\n", "exactly one newline"),
        ("a.md", b"a", "exactly one newline"),
        ("a.md", b"\na\n", "begins with a blank line"),
        ("a.md", b"a \n", "spaces at its end"),
        ("a.md", b"a\r\n", "carriage return"),
        ('a".md', b"a\n", "Windows"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert any(complaint in problem for problem in problems(tmp_path))


def test_names_that_differ_in_case_alone_are_found(tmp_path: Path) -> None:
    for name in ("readme.md", "README.md"):
        (tmp_path / name).write_text("a\n")
    if len(list(tmp_path.iterdir())) == 2:  # Not so on systems that we protect.
        assert any("in case alone" in problem for problem in problems(tmp_path))


def test_a_badly_formatted_file_is_found(trees: Trees, tmp_path: Path) -> None:
    shutil.copy(trees.tree(INSPECTED[0]) / "pyproject.toml", tmp_path)
    (tmp_path / "a.py").write_text("import os\nx = {  'a':1 }\n")
    complaints = ruff(tmp_path)
    assert "F401" in complaints
    assert '+x = {"a": 1}' in complaints
