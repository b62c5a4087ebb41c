"""What Prometheus gets, and what it makes of it."""

import asyncio
import json
import re
import shutil
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tools.checklist.checks.upstreams import open_all
from tools.checklist.page import ROOT
from tools.checklist.registry import expect, shows
from tools.checklist.service import Service

Samples = dict[tuple[str, frozenset[str]], float]


async def _scrape(service: Service) -> Samples:
    """The values by name and the values of the labels."""
    text = (await service.client.get("/metrics")).text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return {(one.name, frozenset(one.labels.values())): one.value for one in samples}


@shows("error metrics")
async def errors(service: Service) -> str:
    """A failing request counts as an error, by class and verdict, and takes time to handle."""
    await service.answer_to(LookupError())
    before = await _scrape(service)
    await service.answer_to(LookupError())
    after = await _scrape(service)
    for name in ("application_errors_total", "error_handling_duration_seconds_count"):
        grown = [key for key, value in after.items() if key[0] == name and value == before.get(key, 0) + 1]
        expect(any("LookupError" in labels for _, labels in grown), f"{name} does not count a failing request")
    return "application_errors_total, error_handling_duration_seconds"


@shows("circuit breakers, watched")
async def breakers(service: Service) -> str:
    """Each has its state and its changes in a scrape and in the log, and its panel on the dashboard."""
    names = await open_all(service)
    samples = await _scrape(service)
    for name in names:
        for metric, label in (("circuit_breaker_state", "closed"), ("circuit_breaker_transitions_total", "open")):
            expect(samples.get((metric, frozenset({name, label}))), f"{name} was open, and {metric} does not tell")
    panels = json.loads((ROOT / "ops/grafana/dashboard.json").read_text(encoding="utf-8"))["panels"]
    shown = any("circuit_breaker_state" in target["expr"] for panel in panels for target in panel["targets"])
    expect(shown, "no panel of the dashboard shows circuit_breaker_state")
    return f"{', '.join(names)}: state, changes, log, dashboard"


@shows("alert rules")
async def alerts(service: Service) -> str:
    """They ask for what the service exports, and promtool runs their tests where it is installed."""
    rules = (ROOT / "ops/prometheus/alerts.yml").read_text(encoding="utf-8")
    await service.answer_to(LookupError())
    await open_all(service)
    exported = {name for name, _ in await _scrape(service)}
    wanted = set(re.findall(r"(?<![:\w])([a-z_]+)(?=[\[{])", rules)) - {"up"}
    expect(not wanted - exported, f"nobody exports {', '.join(sorted(wanted - exported))}")
    alerts = _alerts()
    expect(alerts, "there are none")
    if not shutil.which("promtool"):
        return f"{len(alerts)} alerts; promtool not run: apt-get install prometheus"
    process = await asyncio.create_subprocess_exec(
        *("promtool", "test", "rules", "alerts_test.yml"),
        cwd=ROOT / "ops/prometheus",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    failed = re.findall(r"alertname: (\w+)", output.decode())
    expect(process.returncode == 0, f"promtool test rules: {', '.join(failed) or 'see make test ARGS=tests/ops'}")
    return f"{len(alerts)} alerts, promtool's tests passed"


@shows("runbooks")
async def runbooks(_: Service) -> str:
    """Each alert leads to a page that is there, and no page is left without its alert."""
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")}
    alerts = _alerts()
    expect(pages == alerts.keys(), f"alerts or pages alone: {', '.join(sorted(pages ^ alerts.keys()))}")
    lost = [name for name, page in alerts.items() if not (ROOT / page).is_file()]
    expect(not lost, f"runbook_url leads nowhere: {', '.join(lost)}")
    return f"{len(pages)} pages for {len(alerts)} alerts"


def _alerts(folder: Path = ROOT / "ops/prometheus") -> dict[str, str]:
    """The runbook of each."""
    rules = (folder / "alerts.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"- alert: (\w+).*?runbook_url: (\S+)", rules, re.DOTALL))
