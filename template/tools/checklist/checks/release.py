"""Before a release: settings, schema and what is installed."""

import asyncio
import os
import re
import sys
import tomllib
from urllib.parse import urlsplit

from tools.checklist.page import ROOT
from tools.checklist.registry import BrokenError, NotRunError, expect, shows
from tools.checklist.service import VARIABLES, Service
from tools.subject import Settings


@shows("settings for production")
async def settings(service: Service) -> str:
    """Those of this environment, where it says that it is one of production."""
    if os.environ.get("ENVIRONMENT") != "production":
        raise NotRunError("set ENVIRONMENT=production and the variables of production")
    problems = unfit(service.settings)
    if problems:
        raise BrokenError("; ".join(problems))
    return f"those of {len(service.settings.base_urls)} upstreams, the database, CORS, the level and times"


def unfit(settings: Settings) -> list[str]:
    """What may be right for a developer and is not in production."""
    problems = []
    if "url" not in settings.database.model_fields_set:
        problems.append("DATABASE_URL is not set")
    for name, url in settings.base_urls.items():
        if urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}:
            problems.append(f"{name.upper()}_BASE_URL is this machine")
    if "*" in settings.http.cors_allow_origins:
        problems.append("CORS_ALLOW_ORIGINS lets every site read answers")
    if settings.http.service_level != "auto":
        problems.append(f"SERVICE_LEVEL holds the service at {settings.http.service_level}")
    if settings.http.request_deadline_seconds > settings.server.drain_seconds:
        problems.append("REQUEST_DEADLINE_SECONDS is more than DRAIN_SECONDS: a stop would cut requests off")
    if not settings.error_handling.circuit_breaker_enabled:
        problems.append("ERROR_HANDLING_CIRCUIT_BREAKER_ENABLED is false")
    return problems


@shows("schema")
async def schema(service: Service) -> str:
    """The migrations have made an empty database what the code needs, and no model has changed without one."""
    expect(
        (await service.client.get("/startupz")).status_code == 200, "the service does not start after its migrations"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alembic", "check"),
        cwd=ROOT,
        env={**os.environ, **VARIABLES, "DATABASE_URL": service.database},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    last = output.decode(errors="replace").strip().splitlines()[-1:]
    expect(process.returncode == 0, f"alembic check: {' '.join(last)}")
    return "an empty database was migrated, and models and migrations agree"


@shows("lock files")
async def locks(_: Service) -> str:
    """Every dependency has a version and hashes in them, and no address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    loose = unlocked(project["dependencies"], text)
    expect(not loose, f"requirements.lock does not pin {', '.join(loose)}: run make lock")
    expect("://" not in text, "requirements.lock has addresses: run make lock")
    return f"{len(project['dependencies'])} dependencies and what they need, by version and hash"


def unlocked(dependencies: list[str], lock: str) -> list[str]:
    """The names of dependencies that the text of a lock file does not hold with a version and a hash."""
    pinned = re.findall(r"^([\w.-]+)(?:\[.*\])?==\S+[^\n]*\\\n +--hash=sha256:", lock, re.MULTILINE)
    return [name for one in dependencies if (name := re.split(r"[\[><=; ]", one)[0]) not in pinned]
