"""A service passes its own checks untouched, whatever was answered.

The rows cover every pair of answers that this machine can run; of Python versions that it lacks, and of licences, the
inspection has to do.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from ..answers import SPACE, Row, Space, cover, features, label, product, uncovered, with_texts
from ..rendering import Trees
from .running import copy, interpreter, succeed

pytestmark = pytest.mark.slow


@functools.cache
def runnable() -> Space:
    """The questions whose answers can change what a service's own checks find, with the answers that can be tried."""
    versions = [version for version in SPACE["python_version"] if interpreter(str(version))]
    return {name: versions if name == "python_version" else SPACE[name] for name in SPACE if name != "license"}


PAIRS = with_texts(cover(runnable()))
COMBINATIONS = [row for row in with_texts(product(features(SPACE))) if row not in PAIRS]


def check(trees: Trees, tmp_path: Path, row: Row) -> None:
    """Install the service of these answers and run its checks."""
    python = interpreter(str(row.get("python_version", SPACE["python_version"][0])))
    service = copy(trees.tree(row), tmp_path / "service")
    printed = succeed(service, "make", "check", f"PYTHON={python}")
    assert " passed" in printed


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: label(row, SPACE))
def test_every_pair_of_answers_passes_its_own_checks(trees: Trees, tmp_path: Path, row: Row) -> None:
    check(trees, tmp_path, row)


@pytest.mark.all
@pytest.mark.parametrize("row", COMBINATIONS, ids=lambda row: label(row, SPACE))
def test_every_combination_of_features_passes_its_own_checks(trees: Trees, tmp_path: Path, row: Row) -> None:
    check(trees, tmp_path, row)


def test_the_rows_cover_every_pair() -> None:
    assert uncovered(runnable(), PAIRS) == []


def test_an_uncovered_choice_would_be_noticed() -> None:
    widened = {**runnable(), "ci": [*runnable()["ci"], "another"]}
    assert uncovered(widened, PAIRS)
