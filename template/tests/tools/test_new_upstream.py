"""A new upstream is written whole, or refused with a sentence and nothing written."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAME, OTHER = "just_a_test", "yet_another_test_of_a_long_name"
ROOT = Path(__file__).parents[2]
[PACKAGE] = [path.parent.name for path in (ROOT / "src").glob("*/app.py")]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of this service."""
    for name in ("src", "tests", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".env.example", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _new_upstream(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/new_upstream.py", PACKAGE, name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_everything_is_written_and_its_own_tests_pass(copy: Path) -> None:
    for name in (NAME, OTHER):
        done = _new_upstream(copy, name)
        assert done.returncode == 0, done.stderr
    registry = (copy / "src" / PACKAGE / "upstreams" / "registry.py").read_text()
    ast.parse(registry)
    assert f"    {NAME.upper()},\n" in registry
    assert f"    {OTHER.upper()},\n" in registry
    assert f"{NAME.upper()}_BASE_URL=" in (copy / ".env.example").read_text()
    for check in (
        ["ruff", "check", "--quiet", f"src/{PACKAGE}/upstreams", "tests/upstreams"],
        ["ruff", "format", "--check", "--quiet", f"src/{PACKAGE}/upstreams", "tests/upstreams"],
        ["pytest", "-q", "tests/upstreams", "-k", f"{NAME} or {OTHER} or declaration"],
    ):
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(copy / "src")}
        done = subprocess.run(
            [sys.executable, "-m", *check], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    ["", "Payments", "pay-ments", "1st", "class", "../payments", "a" * 41, "registry", "request", "p;rm", "ü"],
)
def test_bad_and_taken_names_are_refused(copy: Path, name: str) -> None:
    before = _files(copy)
    done = _new_upstream(copy, name)
    assert done.returncode == 2
    assert "NAME" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert _files(copy) == before


def test_a_name_is_taken_once(copy: Path) -> None:
    assert _new_upstream(copy, NAME).returncode == 0
    assert _new_upstream(copy, NAME).returncode == 2
