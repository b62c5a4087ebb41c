"""Linters of other people's formats read the delivery files: workflows, image, compose file, manifests.

Most rows render the same ones, so each distinct file is read once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..answers import INSPECTED, Row
from ..rendering import Trees, once

BIN = Path(sys.executable).parent
YAML_RULES = "{extends: relaxed, rules: {line-length: {max: 120}, truthy: {check-keys: false}}}"


@pytest.fixture(scope="session")
def delivery(shared: Path, trees: Trees) -> Path:
    """One small tree for each different set of delivery files."""
    return once(shared / "delivery", lambda directory: _collect(trees, INSPECTED, directory))


def _collect(trees: Trees, rows: Sequence[Row], directory: Path) -> None:
    seen: set[tuple[str, bytes]] = set()
    for index, row in enumerate(rows):
        tree = trees.tree(row)
        for path in sorted(tree.rglob("*")):
            name = path.relative_to(tree).as_posix()
            if path.is_file() and _is_delivery(name) and (name, path.read_bytes()) not in seen:
                seen.add((name, path.read_bytes()))
                copy = directory / str(index) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)


def _is_delivery(name: str) -> bool:
    return name == "Dockerfile" or name.endswith((".yaml", ".yml"))


def lint(files: Sequence[Path], tool: str, *arguments: str) -> None:
    """Fail with what the tool says; without a file to read, the test would prove nothing."""
    assert files
    run = subprocess.run([BIN / tool, *arguments, *files], capture_output=True, text=True)
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)


def test_yaml(delivery: Path) -> None:
    lint([delivery], "yamllint", "--strict", "--config-data", YAML_RULES)


def test_the_image(delivery: Path) -> None:
    lint(sorted(delivery.glob("*/Dockerfile")), "hadolint")


def test_the_workflows_are_safe(delivery: Path) -> None:
    lint(sorted(delivery.glob("*/.github/workflows/*.yml")), "zizmor", "--offline", "--quiet")


def test_the_manifests_are_valid(delivery: Path) -> None:
    manifests = [path for path in sorted(delivery.glob("*/deploy/**/*.yaml")) if "kustomiz" not in path.name]
    lint(manifests, "kubernetes-validate", "--strict", "--quiet")


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-workflows", "*/.github/workflows/*.yml"),
        ("gitlab-ci", "*/.gitlab-ci.yml"),
        ("compose-spec", "*/compose.yaml"),
    ],
)
def test_schemas(delivery: Path, schema: str, pattern: str) -> None:
    lint(sorted(delivery.glob(pattern)), "check-jsonschema", "--builtin-schema", f"vendor.{schema}")


def test_a_linter_can_say_no(tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text("services: [1]\n")
    with pytest.raises(pytest.fail.Exception):
        lint([broken], "check-jsonschema", "--builtin-schema", "vendor.compose-spec")
