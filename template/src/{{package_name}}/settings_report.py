"""`make settings`: each variable, its value and where it came from; secrets masked."""

import os
import sys
from collections.abc import Iterator
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr
from sqlalchemy import make_url

from .observability.redaction import redact_text
from .settings import ENV_FILE, SECTIONS, Settings, SettingsError, UpstreamSettings, load_settings
from .upstreams.registry import UPSTREAMS


def lines(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Variable, shown value and origin of every setting."""
    in_file = {name.upper() for name, value in dotenv_values(ENV_FILE).items() if value}
    in_environment = {name.upper() for name, value in os.environ.items() if value}
    for name, value in _variables(settings):
        origin = "environment" if name in in_environment else ENV_FILE if name in in_file else "default"
        yield name, _shown(value), origin


def _variables(settings: Settings) -> Iterator[tuple[str, Any]]:
    for section in (getattr(settings, name) for name in SECTIONS):
        prefix = section.model_config.get("env_prefix", "")
        yield from ((f"{prefix}{field}".upper(), getattr(section, field)) for field in type(section).model_fields)
    for name, url in settings.base_urls.items():
        yield f"{name}_base_url".upper(), url
        policy = settings.policies[name]
        yield from (
            (f"upstream_{name}_{field}".upper(), getattr(policy, field)) for field in UpstreamSettings.model_fields
        )


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return redact_text(make_url(value.get_secret_value()).render_as_string(hide_password=True))
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else redact_text(str(value))


def main() -> int:
    """Print the report; 1 if the settings are not acceptable."""
    try:
        settings = load_settings(UPSTREAMS)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    rows = list(lines(settings))
    width = max(len(name) for name, _, _ in rows)
    for name, value, origin in rows:
        print(f"{name:{width}}  {origin:11}  {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
