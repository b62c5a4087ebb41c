"""Rules, dashboard and documents ask for what a running service exports, and every metric it exports is documented."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.subject import OPERATION_PATHS, UPSTREAMS, UpstreamSettings, settings_report
from tests.support.environment import make_settings
from tools import drill
from tools.drilled import ROUTE, UPSTREAM
from tools.load import Clients
from tools.unreliable_upstream import UnreliableUpstream

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "ops/prometheus/alerts.yml").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "ops/grafana/dashboard.json").read_text(encoding="utf-8"))
RUNBOOKS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/runbooks").glob("*.md")}

LIBRARY = ("process_", "python_")
"""What the client library exports of itself; its documents tell about it."""
SCRAPED = {"up"}
"""What Prometheus adds."""

WORDS = re.compile(
    "absent|and|by|count|histogram_quantile|increase|max|min|or|rate|sum|topk|unless|(avg|max|min|sum)(_over_time)?"
)
"""Of PromQL, as far as they are in use; any other is taken for a metric."""

NAME = re.compile(r"(?<![\w:.])[a-z_][\w:]*")
LABEL = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")

Exported = dict[str, list[dict[str, str]]]


class Query(NamedTuple):
    """What asks, the query, and other labels that are shown of its result."""

    where: str
    text: str
    shown: tuple[str, ...] = ()


def _queries() -> Iterator[Query]:
    for block in re.split(r"^ +- (?=alert: |record: )", RULES, flags=re.MULTILINE)[1:]:
        found = re.search(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", block)
        assert found is not None, block
        yield Query(block.split()[1], found[1] or found[2], tuple(re.findall(r"\$labels\.(\w+)", block)))
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield Query(panel["title"], target["expr"], tuple(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])))
    for name, page in RUNBOOKS.items():
        for number, text in enumerate(re.findall(r"```promql\n(.*?)```", page, re.DOTALL), 1):
            yield Query(f"{name} {number}", text)


RECORDED = set(re.findall(r"record: (\S+)", RULES))


async def _drilled() -> Exported:
    """The samples of a service whose upstream has failed, by name; each as its labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"UPSTREAM_{UPSTREAM.name}_RECOVERY_TIMEOUT".upper(), "1")
        async with UnreliableUpstream() as upstream, drill._service(upstream.url) as service:
            await service.started()
            async with Clients(service.url, ROUTE) as clients:
                await drill._play("503", upstream, clients, seconds=1.0, patience=10.0)
            async with httpx.AsyncClient(base_url=service.url, trust_env=False, verify=False) as client:
                exposition = (await client.get("/metrics")).text
    samples: Exported = defaultdict(list)
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            samples[sample.name].append(sample.labels)
    return samples


def _metrics(query: str) -> list[str]:
    bare = re.sub(r"\{.*?\}|\[.*?\]|\bby \(.*?\)", " ", query, flags=re.DOTALL)
    return [name for name in NAME.findall(bare) if not WORDS.fullmatch(name)]


def _missing(exported: Exported, query: Query) -> Iterator[str]:
    """What the query asks for and nobody exports."""
    known = {"job", "instance"}
    for name in _metrics(query.text):
        samples = exported.get(name, [])
        if not samples and name not in SCRAPED and name not in RECORDED:
            yield name
        known |= {label for sample in samples for label in sample}
        for matchers in re.findall(rf"\b{name}\{{(.*?)\}}", query.text, re.DOTALL):
            wanted = [one for one in LABEL.findall(matchers) if one[0] not in {"job", "instance"}]
            if wanted and not any(all(_matches(sample, *one) for one in wanted) for sample in samples):
                yield f"{name}{{{matchers}}}"
    grouped = {label for group in re.findall(r"\bby \((.*?)\)", query.text) for label in re.split(r",\s*", group)}
    yield from (grouped | set(query.shown)) - known


def _matches(sample: dict[str, str], label: str, operator: str, wanted: str) -> bool:
    if label not in sample:
        return False
    found = re.fullmatch(wanted, sample[label]) if "~" in operator else wanted == sample[label]
    return bool(found) != operator.startswith("!")


def _labels(exported: Exported) -> dict[str, set[str]]:
    """Of each metric of ours."""
    labels: dict[str, set[str]] = defaultdict(set)
    for name, samples in exported.items():
        if not name.startswith(LIBRARY) and not name.endswith("_created"):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            labels[base] |= {label for sample in samples for label in sample} - {"le"}
    return labels


async def test_what_is_asked_for_is_exported_and_what_is_exported_is_documented() -> None:
    exported = await _drilled()
    missing = {query.where: found for query in _queries() if (found := list(_missing(exported, query)))}
    assert missing == {}
    assert len(list(_queries())) > 30

    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*)\|", page, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert _labels(exported) == documented


def test_the_rules_leave_out_what_is_nobodys_traffic() -> None:
    left_out = re.findall(r'route!~"(.*?)"', RULES)
    assert left_out
    for pattern in left_out:
        assert set(pattern.split("|")) == OPERATION_PATHS


def test_the_dashboard_can_be_loaded() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert "id" not in DASHBOARD
    assert 0 < len(DASHBOARD["uid"]) <= 40
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))
    for panel in panels:
        assert all('job="$service"' in target["expr"] for target in panel["targets"]), panel["title"]


def test_every_setting_in_a_runbook_exists(tmp_path: Path) -> None:
    known = {name for name, _, _ in settings_report.lines(make_settings(tmp_path), UPSTREAMS)}
    for name, page in RUNBOOKS.items():
        named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`", page))
        of_upstreams = set(re.findall(r"`UPSTREAM_<NAME>_(\w+?)(?:=\w+)?`", page))
        assert named <= known, name
        assert {field.lower() for field in of_upstreams} <= UpstreamSettings.model_fields.keys(), name
