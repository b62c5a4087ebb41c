"""The checks of a service can fail: each is shown what it is there to find."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ..answers import read_config
from ..rendering import Trees, once
from .running import copy, run, succeed

pytestmark = pytest.mark.slow


def install(tree: Path, service: Path) -> None:
    """A copy of a rendered tree with its environment."""
    succeed(copy(tree, service), "make", "install")


@pytest.fixture(scope="session")
def installed(shared: Path, trees: Trees) -> Path:
    """The default service, installed once. Tests work on copies of its source."""
    return once(shared / "installed", lambda directory: install(trees.tree({}), directory))


@pytest.fixture
def service(installed: Path, tmp_path: Path) -> Path:
    """The installed service, to be changed; the environment is shared."""
    service = tmp_path / "service"
    shutil.copytree(installed, service, ignore=shutil.ignore_patterns(".venv"))
    (service / ".venv").symlink_to(installed / ".venv")
    return service


def tool(service: Path, name: str, *arguments: str) -> tuple[int, str]:
    """Run a tool of the service's environment on the source in this copy."""
    done = run(service, "env", "PYTHONPATH=src", f".venv/bin/{name}", *arguments)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("errors/hierarchy.py", "from ..web import handlers"),
        ("resilience/deadline.py", "from ..observability import logs"),
        ("db/session.py", "from ..orders import models"),
        ("web/handlers.py", "from ..settings import Settings"),
        ("errors/isolation.py", "import httpx"),
    ],
)
def test_an_import_turned_round_breaks_the_contract(service: Path, module: str, line: str) -> None:
    assert tool(service, "lint-imports", "--no-cache")[0] == 0
    with (service / "src" / "orders_service" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    status, printed = tool(service, "lint-imports", "--no-cache")
    assert status == 1
    assert "BROKEN" in printed


def test_a_wrong_type_is_found(service: Path) -> None:
    with (service / "src" / "orders_service" / "errors" / "recovery.py").open("a", encoding="utf-8") as file:
        file.write('\nATTEMPTS: int = "three"\n')
    status, printed = tool(service, "mypy", "src/orders_service/errors")
    assert status == 1
    assert "Incompatible types in assignment" in printed


def test_the_names_of_all_that_is_installed_are_reserved(installed: Path) -> None:
    lock = (installed / "requirements-dev.lock").read_text(encoding="utf-8")
    names = set(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE))
    assert len(names) > 30
    assert names <= set(read_config()["reserved_distributions"]["default"].split())


def test_the_locks_hold_hashes_and_no_addresses(installed: Path) -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lock = (installed / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in lock
        assert "://" not in lock
        assert "--index-url" not in lock
