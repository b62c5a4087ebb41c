"""The checks of a service are worth something: each of them notices what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Installed
from .rows import PAIRS
from .service import copy_of_sources, run

pytestmark = pytest.mark.slow

Tool = Callable[..., tuple[int, str]]


@pytest.fixture
def tool(installed: Installed, tmp_path: Path) -> Tool:
    """Run a tool of the default service on a copy of it, after lines were added to a file of the package."""
    service = installed(PAIRS[0])
    copy = copy_of_sources(service, tmp_path / "copy")
    (package,) = (copy / "src").iterdir()

    def tool(name: str, *arguments: str, file: str = "", lines: str = "") -> tuple[int, str]:
        if file:
            with (package / file).open("a", encoding="utf-8") as stream:
                stream.write(lines)
        done = run(copy, service / ".venv/bin" / name, *arguments, PYTHONPATH=str(copy / "src"))
        return done.returncode, done.stdout

    return tool


@pytest.mark.parametrize(("name", "arguments"), [("lint-imports", ()), ("mypy", ()), ("ruff", ("check",))])
def test_a_copy_is_as_clean_as_the_service(tool: Tool, name: str, arguments: tuple[str, ...]) -> None:
    code, output = tool(name, *arguments)
    assert code == 0, output


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("errors/hierarchy.py", "from ..web import handlers\n"),
        ("errors/hierarchy.py", "import httpx\n"),
        ("resilience/__init__.py", "from .. import settings\n"),
        ("health/routes.py", "from .. import api\n"),
        ("db/engine.py", "from ..upstreams import connection\n"),
    ],
)
def test_an_import_that_points_the_wrong_way_breaks_the_contract(tool: Tool, file: str, line: str) -> None:
    code, output = tool("lint-imports", file=file, lines=line)
    assert code != 0
    assert "BROKEN" in output


def test_a_type_error_is_found(tool: Tool) -> None:
    code, output = tool("mypy", file="errors/isolation.py", lines='\nwrong: int = "text"\n')
    assert code != 0
    assert "Incompatible types in assignment" in output


def test_a_missing_annotation_is_found(tool: Tool) -> None:
    code, output = tool("mypy", file="errors/isolation.py", lines="\n\ndef untyped(x):\n    return x\n")
    assert code != 0
    assert "missing a type annotation" in output


def test_a_blind_except_is_found(tool: Tool) -> None:
    code, output = tool(
        "ruff", "check", file="errors/isolation.py", lines="\ntry:\n    pass\nexcept Exception:\n    pass\n"
    )
    assert code != 0
    assert "BLE001" in output


COLUMN = "    note: Mapped[str | None] = mapped_column(String(10), default=None)\n"


def test_a_change_of_a_model_needs_a_migration(tool: Tool, tmp_path: Path) -> None:
    tests = ("-n0", "-q", "tests/db/test_migrations.py")
    code, output = tool("pytest", *tests, file="orders/models.py", lines=COLUMN)
    assert code != 0
    assert "test_the_migrations_lead_to_the_models" in output
    for command in (["upgrade", "head"], ["revision", "--autogenerate", "-m", "add a note"]):
        code, output = tool("alembic", *command)
        assert code == 0, output
    (written,) = tmp_path.glob("copy/src/*/db/migrations/versions/2*_add_a_note.py")
    assert 'batch_op.add_column(sa.Column("note", sa.String(length=10), nullable=True))' in written.read_text()
    code, output = tool("pytest", *tests)
    assert code == 0, output
    code, output = tool("ruff", "format", "--check", str(written))
    assert code == 0, output
    assert tool("alembic", "upgrade", "head")[0] == 0
    code, output = tool("alembic", "check")
    assert code == 0, output
