"""Services of every pair of answers install, pass their own checks and reserve the names that they use."""

from __future__ import annotations

import json
import re

import pytest

from ..answers import Row, label, reserved, uncovered
from ..update.projects import git
from .conftest import Installed
from .interpreters import interpreters
from .rows import COMBINATIONS, PAIRS, PART
from .service import make, run

every_pair = pytest.mark.parametrize("row", PAIRS, ids=lambda row: label(row, PART))


@pytest.mark.slow
@every_pair
def test_it_passes_its_own_checks_and_they_leave_nothing_behind(installed: Installed, row: Row) -> None:
    service = installed(row)
    make(service, "check", row)
    assert git(service, "status", "--porcelain") == ""


@pytest.mark.all
@pytest.mark.parametrize("row", COMBINATIONS, ids=lambda row: label(row, PART))
def test_every_combination_passes_its_own_checks(installed: Installed, row: Row) -> None:
    make(installed(row), "check", row)


@pytest.mark.slow
@every_pair
def test_what_it_installs_is_reserved(installed: Installed, row: Row) -> None:
    """A service named like one of its dependencies could not install it, and its package would hide theirs."""
    service = installed(row)
    locked = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (service / "requirements-dev.lock").read_text(), re.MULTILINE)
    assert locked
    assert set(locked) - set(reserved("reserved_distributions")) == set()

    program = "import importlib.metadata as m, json; print(json.dumps(sorted(m.packages_distributions())))"
    modules = json.loads(run(service, service / ".venv/bin/python", "-c", program).stdout)
    names = {name for name in modules if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)}
    assert "fastapi" in names
    own = {path.name for path in (service / "src").iterdir()}
    assert names - own - set(reserved("reserved_modules")) == set()


def test_every_pair_that_can_run_here_runs() -> None:
    assert uncovered(PART, PAIRS) == []
    assert interpreters()


def test_every_combination_of_features_runs_in_the_long_run() -> None:
    assert uncovered(PART, [*PAIRS, *COMBINATIONS]) == []


@pytest.mark.slow
def test_the_locks_hold_hashes_and_no_addresses(installed: Installed) -> None:
    for lock in installed(PAIRS[0]).glob("requirements*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "index-url" not in text
