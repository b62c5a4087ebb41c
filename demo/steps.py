"""What the demo shows: each step asks the running service something and checks that the answer is the promised one."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .http import Answer, ask

MOST_CALLS = 60
RECOVERY_SECONDS = 15


class NotSeenError(Exception):
    """A step did not show what it is there for."""


@dataclass(frozen=True)
class Stage:
    """Where the play takes place.

    Args:
        service: base URL of the service.
        upstream: base URL of the unreliable upstream.
        database: the service's SQLite file.
        log: where the service logs, one JSON object a line.
    """

    service: str
    upstream: str
    database: Path
    log: Path


Step = Callable[[Stage], Iterator[str]]


def expect(seen: bool, answer: Answer) -> None:
    """Fail the demo unless `seen`."""
    if not seen:
        raise NotSeenError(f"not seen; the answer was {answer}")


def normal_answer(stage: Stage) -> Iterator[str]:
    """A normal answer"""
    created = ask("POST", f"{stage.service}/v1/orders", {"sku": "A-1", "quantity": 2})
    expect(created.status == 201 and created.body["status"] == "accepted", created)
    yield f"POST /v1/orders → {created}"
    available = ask("GET", f"{stage.service}/v1/availability/A-1")
    expect(available.status == 200 and available.body["available"] == 42, available)
    yield f"GET /v1/availability/A-1 → {available}"


def wrong_request(stage: Stage) -> Iterator[str]:
    """A request that is wrong, with a secret in it"""
    answer = ask("POST", f"{stage.service}/v1/orders", {"sku": "A-1", "quantity": 0, "token": "s3cr3t-value"})
    expect(answer.status == 422 and "s3cr3t" not in str(answer.body), answer)
    yield f"POST /v1/orders → {answer}"
    expect("s3cr3t" not in stage.log.read_text(encoding="utf-8"), answer)
    yield "The secret is neither in the answer nor in the log."


def failing_upstream(stage: Stage) -> Iterator[str]:
    """The upstream fails"""
    ask("PUT", f"{stage.upstream}/_fault", {"kind": "status", "status": 503, "times": 1})
    rescued = ask("GET", f"{stage.service}/v1/availability/A-1")
    expect(rescued.status == 200 and not rescued.body["degraded"], rescued)
    yield f"It fails once, and a retry mends it: → {rescued}"
    ask("PUT", f"{stage.upstream}/_fault", {"kind": "status", "status": 429, "retry_after": 3})
    throttled = ask("GET", f"{stage.service}/v1/availability/NEW-1")
    expect(throttled.status == 503 and throttled.headers.get("Retry-After") == "3", throttled)
    yield f"It throttles us: → {throttled}"
    ask("PUT", f"{stage.upstream}/_fault", {"kind": "drip", "seconds": 0.5})
    dripping = ask("GET", f"{stage.service}/v1/availability/NEW-1")
    expect(dripping.status == 504 and dripping.seconds < 3, dripping)
    yield f"It drips its answer: → {dripping}, after {dripping.seconds:.1f} s"
    record = _record(stage, dripping)
    expect(record["exception"]["type"].endswith("OperationTimeoutError"), dripping)
    yield f"The log has {record['exception']['type']}, caused by {record['exception']['causes'][0]['type']}."


def open_breaker(stage: Stage) -> Iterator[str]:
    """The circuit breaker opens, and an old answer stands in"""
    ask("PUT", f"{stage.upstream}/_fault", {"kind": "status", "status": 503})
    for _ in range(MOST_CALLS):
        stale = ask("GET", f"{stage.service}/v1/availability/A-1")
        expect(stale.status == 200 and stale.body["degraded"], stale)
        health = ask("GET", f"{stage.service}/health")
        if health.body["circuit_breakers"]["inventory"]["state"] == "open":
            break
    expect(health.status == 200 and health.body["status"] == "degraded", health)
    yield f"GET /v1/availability/A-1 → {stale}, Age {stale.headers['Age']}"
    yield f"GET /health → {health}"
    before = ask("GET", f"{stage.upstream}/_requests").body["count"]
    refused = ask("GET", f"{stage.service}/v1/availability/NEW-1")
    expect(refused.status == 503 and "Retry-After" in refused.headers, refused)
    expect(ask("GET", f"{stage.upstream}/_requests").body["count"] == before, refused)
    yield f"Nothing is known of another product, and the upstream is left alone: → {refused}"


def recovery(stage: Stage) -> Iterator[str]:
    """The upstream recovers, and so does the service"""
    ask("DELETE", f"{stage.upstream}/_fault")
    until = time.monotonic() + RECOVERY_SECONDS
    while (answer := ask("GET", f"{stage.service}/v1/availability/A-1")).body["degraded"]:
        expect(time.monotonic() < until, answer)
        time.sleep(0.1)
    yield f"GET /v1/availability/A-1 → {answer}"
    health = ask("GET", f"{stage.service}/health")
    expect(health.body["circuit_breakers"]["inventory"]["state"] == "closed", health)
    yield f"GET /health → {health.body['status']}"


def database_error(stage: Stage) -> Iterator[str]:
    """The database fails"""
    with closing(sqlite3.connect(stage.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = ask("POST", f"{stage.service}/v1/orders", {"sku": "A-1", "quantity": 1})
        expect(refused.status == 503 and "Retry-After" in refused.headers, refused)
        yield f"Another process holds the lock: → {refused}, Retry-After {refused.headers['Retry-After']}"
        read = ask("GET", f"{stage.service}/v1/orders")
        expect(read.status == 200 and len(read.body["items"]) == 1, read)
        yield "Reading goes on, and the refused order is not there."
        other.execute("ROLLBACK")
    accepted = ask("POST", f"{stage.service}/v1/orders", {"sku": "A-1", "quantity": 1})
    expect(accepted.status == 201, accepted)
    yield f"The lock is free: → {accepted.status}"


def health_report(stage: Stage) -> Iterator[str]:
    """The health report"""
    answer = ask("GET", f"{stage.service}/health")
    expect(answer.status == 200 and answer.body["status"] == "healthy", answer)
    yield f"GET /health → {answer}"


STEPS: tuple[Step, ...] = (
    normal_answer,
    wrong_request,
    failing_upstream,
    open_breaker,
    recovery,
    database_error,
    health_report,
)


def _record(stage: Stage, answer: Answer) -> dict[str, Any]:
    """The error record that belongs to `answer`."""
    name = answer.headers["X-Request-ID"]
    lines = [json.loads(line) for line in stage.log.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line.get("request_id") == name and line["level"] == "error"]
    expect(len(found) == 1, answer)
    return dict(found[0])
