"""Against a real upstream: how often it is really called, how long that takes at the most, and what is told of it."""

import time
from contextlib import suppress

import httpx
import pytest
from pydantic import BaseModel
from tenacity import wait_fixed

from tests.subject import (
    LOGGED,
    ApplicationError,
    CallRetried,
    CircuitBreakerOpenError,
    CircuitState,
    Degradation,
    ErrorRates,
    Event,
    Events,
    Health,
    Lifecycle,
    OperationTimeoutError,
    OverloadedError,
    Policy,
    ServiceUnavailableError,
    request_id,
)
from tests.support.clock import Clock
from tests.support.logs import LogLines
from tests.support.upstreams import POLICY, connect_to
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream

TRIES = Policy(total_timeout=2.0, attempt_timeout=0.3, max_retries=2, wait=wait_fixed(0.01)).over(POLICY)
PATIENT = Policy(total_timeout=10.0, attempt_timeout=5.0).over(TRIES)
"""For faults that answer at once, however busy the machine is."""
SLACK = 0.5
"""Seconds that a busy machine may add."""


class Stock(BaseModel):
    sku: str
    available: int


class Accepted(BaseModel):
    accepted: bool


@pytest.mark.parametrize(
    ("fault", "policy", "error", "attempts"),
    [
        (Fault(FaultKind.HANG), TRIES, OperationTimeoutError, 3),
        (Fault(FaultKind.DRIP, seconds=0.1), TRIES, OperationTimeoutError, 3),
        (Fault(FaultKind.SLOW_CLOSE, seconds=5), TRIES, OperationTimeoutError, 3),
        (Fault(FaultKind.RESET), PATIENT, ServiceUnavailableError, 3),
        (Fault(FaultKind.GARBAGE), PATIENT, ServiceUnavailableError, 3),
        (Fault(FaultKind.STATUS, status=500), PATIENT, ServiceUnavailableError, 3),
        (Fault(FaultKind.STATUS, status=429), PATIENT, ServiceUnavailableError, 3),
        (Fault(FaultKind.STATUS, status=429, retry_after=30), PATIENT, ServiceUnavailableError, 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_attempts_are_as_declared_and_the_total_timeout_holds(
    upstream: UnreliableUpstream, fault: Fault, policy: Policy, error: type[ApplicationError], attempts: int
) -> None:
    seen: list[Event] = []
    upstream.fail(fault)
    async with connect_to(upstream.url, policy, seen.append) as connection:
        begin = time.monotonic()
        with pytest.raises(error):
            await connection.get("/stock/A-1", Stock)
        assert time.monotonic() - begin < 2.0 + SLACK
        assert upstream.request_count == attempts
        assert [event.attempts for event in seen if isinstance(event, CallRetried)] == (
            [attempts] if attempts > 1 else []
        )

        upstream.recover()
        upstream.fail(Fault(FaultKind.STATUS, status=503, times=1))
        assert (await connection.get("/stock/A-1", Stock)).available == 42


async def test_a_refused_connection_is_tried_again(upstream: UnreliableUpstream) -> None:
    seen: list[Event] = []
    await upstream.stop_listening()
    async with connect_to(upstream.url, TRIES, seen.append) as connection:
        with pytest.raises(ServiceUnavailableError):
            await connection.get("/stock/A-1", Stock)
        assert [event.attempts for event in seen if isinstance(event, CallRetried)] == [3]


@pytest.mark.parametrize(("key", "sent"), [(None, 1), ("order-1", 2)])
async def test_a_post_is_repeated_only_with_a_key(upstream: UnreliableUpstream, key: str | None, sent: int) -> None:
    upstream.fail(Fault(FaultKind.STATUS, status=503, times=1))
    async with connect_to(upstream.url, TRIES) as connection:
        body = Stock(sku="A-1", available=1)
        if key is None:
            with pytest.raises(ServiceUnavailableError):
                await connection.post("/stock/A-1", body, Accepted, idempotency_key=key)
        else:
            assert (await connection.post("/stock/A-1", body, Accepted, idempotency_key=key)).accepted
    assert [request.headers.get("idempotency-key") for request in upstream.requests] == [key] * sent
    assert upstream.requests[0].body == b'{"sku":"A-1","available":1}'


async def test_the_open_circuit_spares_the_upstream_and_shows(upstream: UnreliableUpstream, logs: LogLines) -> None:
    policy = Policy(breaker_enabled=True, failure_threshold=2, recovery_timeout=30, success_threshold=1).over(PATIENT)
    clock = Clock()
    upstream.fail(Fault(FaultKind.STATUS, status=503))
    async with connect_to(upstream.url, policy, Events(LOGGED), clock) as connection:
        breaker = connection.pipeline.breaker
        assert breaker is not None
        health = Health(
            Lifecycle(started=True),
            checks=[],
            breakers=[breaker],
            degradation=Degradation([], is_failure=lambda _: True, events=Events()),
            ready_requires=frozenset(),
            error_rates=ErrorRates(1),
        )
        for expected in (ServiceUnavailableError, CircuitBreakerOpenError, CircuitBreakerOpenError):
            with pytest.raises(expected):
                await connection.get("/stock/A-1", Stock)
        assert upstream.request_count == 2
        report = await health.report()
        assert (report.status, report.circuit_breakers["stock"].failure_count) == ("degraded", 2)
        assert await health.not_ready_because() == []

        upstream.recover()
        clock.pass_(30)
        assert (await connection.get("/stock/A-1", Stock)).available == 42
        assert (await health.report()).status == "healthy"
    changes = [line for line in logs.of_level("warning") if line["event"] == "circuit breaker changed"]
    assert [(line["previous"], line["state"]) for line in changes] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    [retrying] = [line for line in logs.of_level("warning") if line["event"] == "retrying"][:1]
    assert (retrying["upstream"], retrying["attempt"], retrying["error_type"]) == ("stock", 1, "HTTPStatusError")


async def test_a_refusal_of_our_request_shows_the_upstream_well(upstream: UnreliableUpstream) -> None:
    policy = Policy(breaker_enabled=True, failure_ratio=0.5, minimum_calls=4, recovery_timeout=30).over(PATIENT)
    clock = Clock()
    async with connect_to(upstream.url, policy, clock=clock) as connection:
        breaker = connection.pipeline.breaker
        assert breaker is not None
        for status in (404, 404, 503, 404, 404):
            upstream.fail(Fault(FaultKind.STATUS, status=status, times=1))
            with suppress(httpx.HTTPStatusError):
                await connection.get("/stock/A-1", Stock)
        assert breaker.state is CircuitState.CLOSED
        breaker.open()
        clock.pass_(30)
        upstream.fail(Fault(FaultKind.STATUS, status=404))
        for _ in range(2):
            with pytest.raises(httpx.HTTPStatusError):
                await connection.get("/stock/A-1", Stock)
        assert breaker.state is CircuitState.CLOSED


async def test_an_answer_of_another_shape_is_not_asked_for_again(upstream: UnreliableUpstream) -> None:
    async with connect_to(upstream.url, TRIES) as connection:
        with pytest.raises(ServiceUnavailableError):
            await connection.get("/stock/A-1", Accepted)
    assert upstream.request_count == 1


async def test_a_request_that_cannot_be_sent_is_a_bug_and_stays_one(upstream: UnreliableUpstream) -> None:
    async with connect_to(upstream.url, TRIES) as connection:
        token = request_id.set("not\nallowed")
        with pytest.raises(httpx.LocalProtocolError):
            await connection.get("/stock/A-1", Stock)
        request_id.reset(token)
    assert upstream.request_count == 0


async def test_too_many_calls_at_once_are_refused(upstream: UnreliableUpstream) -> None:
    async with connect_to(upstream.url, Policy(max_concurrency=1).over(TRIES)) as connection:
        connection.pipeline.bulkhead.enter()
        with pytest.raises(OverloadedError):
            await connection.get("/stock/A-1", Stock)
        connection.pipeline.bulkhead.leave()
        assert (await connection.get("/stock/A-1", Stock)).available == 42
    assert upstream.request_count == 1
