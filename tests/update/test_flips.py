"""A changed answer leaves what rendering with that answer from the start would have made, byte for byte."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from ..answers import SPACE, Answer, Row, features, label, product
from .conftest import Projects
from .projects import differences, git, update


def flips(name: str) -> list[tuple[Answer, Answer]]:
    """All ordered pairs for a feature; elsewhere a round trip, which enters and leaves every choice once."""
    choices = SPACE[name]
    if name in features(SPACE):
        return list(itertools.permutations(choices, 2))
    return list(zip(choices, [*choices[1:], choices[0]], strict=True))


FLIPS = [
    pytest.param(name, before, after, id=f"{name}-{before}-{after}") for name in SPACE for before, after in flips(name)
]

COMBINATIONS = product(features(SPACE))


@pytest.mark.slow
@pytest.mark.parametrize(("question", "before", "after"), FLIPS)
def test_one_changed_answer(projects: Projects, tmp_path: Path, question: str, before: Answer, after: Answer) -> None:
    project = tmp_path / "project"
    shutil.copytree(projects.project({question: before}), project)
    update(project, {question: after})
    assert differences(project, projects.project({question: after})) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_all_answers_changed_at_once(projects: Projects, tmp_path: Path, seed: int) -> None:
    before = {name: choices[seed % len(choices)] for name, choices in SPACE.items()}
    after = {name: choices[(seed + 1) % len(choices)] for name, choices in SPACE.items()}
    project = tmp_path / "project"
    shutil.copytree(projects.project(before), project)
    update(project, after)
    assert differences(project, projects.project(after)) == []


@pytest.mark.all
@pytest.mark.parametrize("before", COMBINATIONS, ids=lambda row: label(row, SPACE))
def test_every_combination_of_features_becomes_every_other(projects: Projects, tmp_path: Path, before: Row) -> None:
    project = tmp_path / "project"
    shutil.copytree(projects.project(before), project)
    wrong = {}
    for after in COMBINATIONS:
        if after != before:
            update(project, after)
            if found := differences(project, projects.project(after)):
                wrong[label(after, SPACE)] = found
            git(project, "reset", "--quiet", "--hard")
            git(project, "clean", "--quiet", "--force", "-d", "-x")
    assert wrong == {}
