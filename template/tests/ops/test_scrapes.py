"""A real Prometheus scrapes two replicas under load, and counts what the clients and the upstream have counted."""

import asyncio
import re
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.database import url_of
from tests.support.server import connect
from tools.drilled import COMMAND, ROUTE, UPSTREAM
from tools.processes import free_port, serving
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream

OPS = Path(__file__).parents[2] / "ops/prometheus"
REQUESTS = 400
TRAFFIC = 'route!~"/livez|/readyz|/startupz|/health|/metrics"'

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="no Prometheus: apt-get install prometheus, for no wheel has it"
)


@asynccontextmanager
async def _prometheus(folder: Path, targets: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Prometheus that has the configuration of the service, and scrapes `targets` often."""
    config = (OPS / "prometheus.yml").read_text(encoding="utf-8")
    for old, new in (("15s", "500ms"), ('"127.0.0.1:8000"', ", ".join(f'"{target}"' for target in targets))):
        assert old in config
        config = config.replace(old, new)
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    shutil.copy(OPS / "alerts.yml", folder)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
        cwd=folder,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with connect(f"http://127.0.0.1:{port}/api/v1/") as client:
            yield client
    finally:
        process.kill()
        await process.wait()


async def _query(prometheus: httpx.AsyncClient, query: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The values of an instant query by `labels`; nothing as long as nobody answers."""
    try:
        answer: dict[str, Any] = (await prometheus.get("query", params={"query": query})).json()
    except (httpx.TransportError, ValueError):
        return {}
    rows = answer.get("data", {}).get("result", [])
    return {tuple(row["metric"].get(label, "") for label in labels): float(row["value"][1]) for row in rows}


async def _load(replicas: list[httpx.AsyncClient], upstream: UnreliableUpstream) -> Counter[tuple[str, ...]]:
    """What clients got, by replica and status: of a route whose upstream fails half of the time, and of none."""
    got: Counter[tuple[str, ...]] = Counter()
    places = asyncio.Semaphore(4)

    async def ask(number: int) -> None:
        async with places:
            if number == REQUESTS // 2:
                upstream.fail(Fault(FaultKind.STATUS, status=503))
            path = re.sub(r"\{\w+\}", f"A-{number}", ROUTE) if number % 4 else f"/{number}"
            replica = replicas[number % 3 % 2]
            got[f"{replica.base_url.host}:{replica.base_url.port}", str((await replica.get(path)).status_code)] += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(REQUESTS):
            tasks.create_task(ask(number))
    return got


async def test_the_counters_are_those_of_the_clients(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(UnreliableUpstream())
        servers, replicas = [], []
        for number in range(2):
            (folder := tmp_path / str(number)).mkdir()
            port = free_port()
            variables = {
                "PORT": str(port),
                "ENVIRONMENT": "development",
                "DATABASE_URL": url_of(folder),
                "DRAIN_DELAY_SECONDS": "0",
                f"{UPSTREAM.name}_BASE_URL".upper(): upstream.url,
                f"UPSTREAM_{UPSTREAM.name}_MAX_RETRIES".upper(): "1",
            }
            servers.append(await stack.enter_async_context(serving("a replica", COMMAND, port, variables)))
            replicas.append(await stack.enter_async_context(connect(servers[-1].url)))
        targets = [f"127.0.0.1:{replica.base_url.port}" for replica in replicas]
        prometheus = await stack.enter_async_context(_prometheus(tmp_path, targets))
        await asyncio.gather(*(server.started() for server in servers))

        got = await _load(replicas, upstream)
        assert {status for _, status in got} >= {"200", "404", "503"}

        seconds = f"http_server_request_duration_seconds_count{{{TRAFFIC}}}"
        until = time.monotonic() + 20
        counted: dict[tuple[str, ...], float] = {}
        while counted != got and time.monotonic() < until:
            await asyncio.sleep(0.1)
            counted = await _query(prometheus, f"sum by (instance, status) ({seconds})", "instance", "status")
        assert counted == got
        attempts = await _query(prometheus, "sum by (upstream) (upstream_attempts_total)", "upstream")
        assert attempts == {(UPSTREAM.name,): upstream.request_count}

        groups = (await prometheus.get("rules")).json()["data"]["groups"]
        unwell = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"]
        assert (len(groups), unwell) == (2, [])
        firing = await _query(prometheus, 'ALERTS{alertstate="firing"}', "alertname", "severity")
        assert not [name for name, severity in firing if severity == "page"]
