"""What the documents point at exists, in the template and in every service; and a broken reference is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from .answers import INSPECTED, SPACE, Row, label
from .references import ROOT, broken, documents
from .rendering import Trees


@pytest.mark.parametrize("document", documents(ROOT), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_documents_of_the_template(document: Path) -> None:
    assert list(broken(document, ROOT)) == []


@pytest.mark.parametrize("row", INSPECTED, ids=lambda row: label(row, SPACE))
def test_the_links_of_every_service(trees: Trees, row: Row) -> None:
    tree = trees.tree(row)
    found = [f"{page.relative_to(tree)}: {text}" for page in documents(tree) for text in broken(page, tree)]
    assert [problem for problem in found if "link" in problem] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](missing.md)", "the link missing.md leads nowhere"),
        ("[x](page.md#absent)", "the link page.md#absent leads nowhere"),
        ("see `src/gone.py`", "`src/gone.py` does not exist"),
        ("see `gone/there.py`", "`gone/there.py` does not exist"),
        ("[x](page.md) [y](#a-title) [z](page.md#a-title) [w](https://example.com) `src/here.py` `text/plain`", None),
        ("```\n[x](missing.md) `src/gone.py`\n```", None),
    ],
)
def test_a_broken_reference_is_found(tmp_path: Path, text: str, problem: str | None) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/here.py").touch()
    page = tmp_path / "page.md"
    page.write_text(f"# A title\n\n{text}\n", encoding="utf-8")
    assert list(broken(page, tmp_path)) == ([problem] if problem else [])
