"""Installed services, shared by all workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..answers import Row, label
from ..rendering import Trees, once
from .rows import PART
from .service import install

Installed = Callable[[Row], Path]


@pytest.fixture(scope="session")
def installed(shared: Path, trees: Trees) -> Installed:
    """The installed service of a row. Its tests may run in it; nobody edits it."""

    def installed(row: Row) -> Path:
        # The spaces are meant: people have them in their folders.
        return once(shared / "services" / label(row, PART), lambda directory: install(trees, row, directory))

    return installed
