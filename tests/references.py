"""`make docs`: what the documents point at exists. Links and paths are where documents go wrong first."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parent.parent

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"\.?[\w{}<>*.-]+(/[\w{}<>*.-]+)+/?|[\w-]+/|[\w-]+\.(?:md|py|toml|ya?ml)")

PLACEHOLDER = re.compile(r"<package>|\{\{ ?package_name ?\}\}")


def documents(root: Path) -> list[Path]:
    """The documents about the template; those of a service are rendered first."""
    return [*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))]


def broken(document: Path, root: Path) -> Iterator[str]:
    """The references of a document to what does not exist."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if not re.match(r"[a-z]+:", target) and not _link_holds(document, target):
            yield f"the link {target} leads nowhere"
    bases = _bases(document, root)
    for path in sorted({code for code in CODE.findall(text) if PATH.fullmatch(code)}):
        if _is_ours(path, bases) and not any(_exists(base, path) for base in bases):
            yield f"`{path}` does not exist"


def _link_holds(document: Path, target: str) -> bool:
    name, _, anchor = unquote(target).partition("#")
    file = (document.parent / name) if name else document
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(file: Path) -> set[str]:
    """The names that a page's headings get where it is read."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _bases(document: Path, root: Path) -> list[Path]:
    """Where a path may begin: here, at the root, at the root of a service, in its package and in its tests."""
    service = root / "template"
    return [document.parent, root, service, *service.glob("src/*"), service / "tests"]


def _is_ours(path: str, bases: list[Path]) -> bool:
    """A word of two parts, such as `application/json`, is a path where its first part is a folder of ours."""
    first = PLACEHOLDER.sub("*", path).split("/")[0]
    return path.endswith((".py", ".md")) or any(any(base.glob(first)) for base in bases if "/" in path)


def _exists(base: Path, path: str) -> bool:
    pattern = PLACEHOLDER.sub("*", path).rstrip("/")
    return any(base.glob(pattern)) or any(base.glob(f"{pattern}.jinja"))


def main() -> int:
    """Print what is broken; the exit code tells whether anything is."""
    found = [
        f"{document.relative_to(ROOT)}: {problem}" for document in documents(ROOT) for problem in broken(document, ROOT)
    ]
    print("\n".join(found) or f"{len(documents(ROOT))} documents point at what exists.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
