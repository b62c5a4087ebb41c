"""`python -m` this package: check the settings, then serve."""

import sys

from .app import create_app
from .observability.logs import configure_logging
from .server import serve
from .settings import CONFIGURATION_ERROR, SettingsError, load_settings
from .upstreams.registry import UPSTREAMS
from .web.application import Application


def build() -> Application:
    """The application with its logs set up; what a reloading server imports."""
    settings = load_settings(UPSTREAMS)
    configure_logging(settings.server.log_level, readable=settings.server.environment == "development")
    return create_app(settings)


def main() -> int:
    """Serve; the exit status."""
    try:
        settings = load_settings(UPSTREAMS)
        app = build()
    except SettingsError as error:
        print(f"Cannot start:\n{error}", file=sys.stderr)
        return CONFIGURATION_ERROR
    serve(app, settings.server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
