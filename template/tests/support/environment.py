"""Settings for tests, read from an environment that holds nothing else."""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from unittest.mock import patch

from tests.subject import UPSTREAMS, Application, create_app, settings
from tests.support.database import url_of


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Replace the whole environment."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    with patch.dict(os.environ, {**kept, **variables}, clear=True):
        yield


def make_settings(folder: Path, **variables: str) -> settings.Settings:
    """The settings of a service with the database that belongs to `folder`."""
    defaults = {
        "DATABASE_URL": variables.get("DATABASE_URL") or url_of(folder),
        "ENVIRONMENT": "development",
        "ERROR_HANDLING_CONNECTION_TIMEOUT": "1",
    }
    # Not where a developer may have a `.env` file.
    with chdir(Path(__file__).parent), environment(**{**defaults, **variables}):
        return settings.load_settings(UPSTREAMS)


def make_app(folder: Path, **variables: str) -> Application:
    """The service with the settings of `make_settings`."""
    return create_app(make_settings(folder, **variables))
