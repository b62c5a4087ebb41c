"""A template with one release, shared by all workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..answers import Row
from ..rendering import once
from .projects import release, start


class Projects:
    """Freshly rendered projects by answers, made once; tests copy what they change."""

    def __init__(self, template: Path, directory: Path) -> None:
        self.template = template
        self._directory = directory

    def project(self, row: Row) -> Path:
        """The project as rendered and committed."""
        name = "-".join(f"{key}={value}" for key, value in sorted(row.items())) or "defaults"
        return once(self._directory / name, lambda directory: start(self.template, directory, row))


@pytest.fixture(scope="session")
def template(shared: Path, source: Path) -> Path:
    """A repository with the release 1.0.0."""
    return once(shared / "template", lambda directory: release(directory, source, "1.0.0"))


@pytest.fixture(scope="session")
def projects(shared: Path, template: Path) -> Projects:
    """Projects of release 1.0.0."""
    return Projects(template, shared / "projects")
