"""`make settings`: each variable, its value and where it came from; secrets masked."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr
from sqlalchemy import make_url

from .observability.redaction import redact_text
from .resilience.policy import Policy
from .settings import ENV_FILE, POLICY_NAMES, SECTIONS, Settings, SettingsError, UpstreamSettings, load_settings
from .upstreams.declaration import Upstream
from .upstreams.registry import UPSTREAMS

GENERAL = {of_one: f"ERROR_HANDLING_{of_all}".upper() for of_all, of_one in POLICY_NAMES.items()}
"""The variable for all upstreams, by the name in the policy of one."""


def lines(settings: Settings, upstreams: Iterable[Upstream]) -> Iterator[tuple[str, str, str]]:
    """Variable, shown value and origin of every setting; the origin of what has no effect is `not in use`."""
    origins = {name.upper(): ENV_FILE for name, value in dotenv_values(ENV_FILE).items() if value}
    origins |= {name.upper(): "environment" for name, value in os.environ.items() if value}
    for section in (getattr(settings, name) for name in SECTIONS):
        prefix = section.model_config.get("env_prefix", "")
        for field in type(section).model_fields:
            name = f"{prefix}{field}".upper()
            yield name, _shown(getattr(section, field)), origins.get(name, "default")
    for upstream in upstreams:
        name = f"{upstream.name}_base_url".upper()
        yield name, _shown(settings.base_urls[upstream.name]), origins.get(name, "code")
        for field, value in _in_effect(settings.policies[upstream.name]):
            name = f"upstream_{upstream.name}_{field}".upper()
            declared = getattr(upstream.policy, field) is not None
            inherited = GENERAL[field] if GENERAL.get(field) in origins else "code" if declared else "default"
            yield name, _shown(value), "not in use" if value is None else origins.get(name, inherited)


def _in_effect(policy: Policy) -> Iterator[tuple[str, Any]]:
    replaced = {"failure_threshold"} if policy.failure_ratio is not None else set()
    if policy.wait is not None:
        replaced |= {"retry_delay", "retry_backoff_multiplier"}
    for field in UpstreamSettings.model_fields:
        yield field, None if field in replaced else getattr(policy, field)


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
    rows = list(lines(settings, UPSTREAMS))
    names, origins = (max(len(row[column]) for row in rows) for column in (0, 2))
    for name, value, origin in rows:
        print(f"{name:{names}}  {origin:{origins}}  {value}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
