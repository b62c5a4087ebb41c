"""Improvements of a later release arrive, and edits survive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Projects
from .projects import commit, content, git, release, start, update

pytestmark = pytest.mark.slow

IMPROVED = "errors/isolation.py"
EDITED = "settings.py"


def improve(template: Path) -> None:
    """An improvement of the engine, and one near the top of a file that users edit."""
    package = template / "template/src/{{package_name}}"
    for name in (IMPROVED, EDITED):
        (file,) = package.glob(f"{name}*")  # Rendered or plain.
        first, rest = file.read_text(encoding="utf-8").split("\n", 1)
        file.write_text(
            f"{first[:-3]} Improved.{first[-3:] if first.endswith(chr(34)) else ''}\n{rest}", encoding="utf-8"
        )
    (package / "errors/new.py").write_text('"""New in 2.0.0."""\n', encoding="utf-8")


@pytest.fixture
def newer(template: Path, tmp_path: Path) -> Path:
    """The template with a second release."""
    newer = tmp_path / "template"
    shutil.copytree(template, newer)
    release(newer, newer, "2.0.0", improve)
    return newer


def package(project: Path) -> Path:
    return project / "src/orders_service"


def test_an_improvement_arrives_and_an_edit_survives(newer: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    start(newer, project, {}, ref="1.0.0")
    edited = package(project) / EDITED
    edited.write_text(edited.read_text(encoding="utf-8") + "\n\nOURS = 1\n", encoding="utf-8")
    (package(project) / "ours.py").write_text("x = 1\n", encoding="utf-8")
    commit(project, "Ours")

    update(project, {}, ref=None)

    assert "Improved." in (package(project) / IMPROVED).read_text(encoding="utf-8")
    assert "Improved." in edited.read_text(encoding="utf-8")
    assert edited.read_text(encoding="utf-8").endswith("\n\nOURS = 1\n")
    assert (package(project) / "ours.py").exists()
    assert (package(project) / "errors/new.py").exists()
    assert b"_commit: 2.0.0" in content(project)[".copier-answers.yml"]


def test_an_edit_survives_a_changed_answer(projects: Projects, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(projects.project({}), project)
    app = package(project) / "app.py"
    app.write_text(app.read_text(encoding="utf-8") + "\n\nOURS = 1\n", encoding="utf-8")
    commit(project, "Ours")
    update(project, {"prometheus": False})
    assert app.read_text(encoding="utf-8").endswith("\n\nOURS = 1\n")
    assert "Metrics" not in app.read_text(encoding="utf-8")


def test_an_update_without_news_changes_nothing(projects: Projects, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(projects.project({}), project)
    update(project, {}, ref=None)
    assert git(project, "status", "--porcelain") == ""


def test_two_changes_of_one_line_leave_a_marked_conflict(newer: Path, tmp_path: Path) -> None:
    """Copier ends well even then; this is what the message after an update tells to look for."""
    project = tmp_path / "project"
    start(newer, project, {}, ref="1.0.0")
    improved = package(project) / IMPROVED
    _, rest = improved.read_text(encoding="utf-8").split("\n", 1)
    improved.write_text(f'"""Ours."""\n{rest}', encoding="utf-8")
    commit(project, "Ours")
    update(project, {}, ref=None)
    assert "<<<<<<< before updating" in improved.read_text(encoding="utf-8")
    assert "UU src/orders_service/errors/isolation.py" in git(project, "status", "--porcelain")
