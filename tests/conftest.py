"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Before Copier is imported, which keeps a copy of the environment: no setting of the developer's git, and no repository
# whose hook may have started us.
for name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[name]
os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from .rendering import Trees, copy_template, once  # noqa: E402

_slow = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("fixed", max_examples=40, derandomize=True, database=None, **_slow)  # type: ignore[arg-type]
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_slow)  # type: ignore[arg-type]
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this run see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def source(shared: Path) -> Path:
    """A plain copy of the template, which is not a repository."""
    return once(shared / "source", copy_template)


@pytest.fixture(scope="session")
def trees(shared: Path, source: Path) -> Trees:
    """The rendered projects."""
    return Trees(source, shared / "trees")
