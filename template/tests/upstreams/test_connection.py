"""Against a real upstream: each fault becomes the right error, within the timeout."""

import asyncio
import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from tenacity import wait_fixed

from tests.subject import (
    LONGEST_RETRY_AFTER,
    MAX_ANSWER_BYTES,
    Deadline,
    OperationTimeoutError,
    OverloadedError,
    Policy,
    ServiceUnavailableError,
    UpstreamConnection,
    current_deadline,
    request_id,
    retry_after,
    upstream_errors,
)
from tests.support.server import serving
from tests.support.upstreams import POLICY, connect_to
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream


class Stock(BaseModel):
    sku: str
    available: int


async def test_a_good_answer_and_the_request_id(upstream: UnreliableUpstream, connection: UpstreamConnection) -> None:
    token = request_id.set("r-1")
    assert await connection.get("/stock/A-1", Stock) == Stock(sku="A-1", available=42)
    request_id.reset(token)
    assert upstream.requests[0].headers["x-request-id"] == "r-1"


async def test_the_upstream_learns_how_long_we_wait(
    upstream: UnreliableUpstream, connection: UpstreamConnection
) -> None:
    await connection.get("/stock/A-1", Stock)
    token = current_deadline.set(Deadline.after(0.3))
    await connection.get("/stock/A-1", Stock)
    current_deadline.reset(token)
    whole, shorter = (int(request.headers["x-request-timeout-ms"]) for request in upstream.requests)
    assert whole == 400
    assert 0 < shorter <= 300


async def test_a_later_attempt_tells_what_is_left_for_it(upstream: UnreliableUpstream) -> None:
    upstream.fail(Fault(FaultKind.HANG))
    policy = Policy(total_timeout=0.5, attempt_timeout=0.4, max_retries=1, wait=wait_fixed(0)).over(POLICY)
    async with connect_to(upstream.url, policy) as connection:
        with pytest.raises(OperationTimeoutError):
            await connection.get("/stock/A-1", Stock)
    first, second = (int(request.headers["x-request-timeout-ms"]) for request in upstream.requests)
    assert first == 400
    assert second <= 100


async def test_a_connection_outlives_an_answer_that_is_no_success() -> None:
    app, clients = FastAPI(), set()

    @app.get("/stock/{sku}")
    async def answer(request: Request) -> Response:
        clients.add(request.client)
        return Response(b"{}", status_code=404)

    with serving(app) as url:
        async with connect_to(url, POLICY) as connection:
            for _ in range(5):
                with pytest.raises(httpx.HTTPStatusError):
                    await connection.get("/stock/A-1", Stock)
    assert len(clients) == 1


@pytest.mark.parametrize("path", ["stock/A-1", "//evil.example/stock", "http://evil.example/", "/stock/../admin", "/."])
async def test_a_path_that_leads_elsewhere_is_refused(
    upstream: UnreliableUpstream, connection: UpstreamConnection, path: str
) -> None:
    with pytest.raises(ValueError, match="path"):
        await connection.get(path, Stock)
    assert upstream.request_count == 0


def test_a_time_to_come_back_may_be_a_date() -> None:
    def asked(value: str) -> float | None:
        return retry_after(httpx.Response(503, headers={b"Retry-After": value.encode()}))

    soon = datetime.now(UTC) + timedelta(seconds=20)
    assert asked(format_datetime(soon, usegmt=True)) == pytest.approx(20, abs=3)
    assert asked("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert asked("Sat, 01 Jan 2900 00:00:00 GMT") == LONGEST_RETRY_AFTER
    assert [asked(value) for value in ("soon", "-1", "1.5", "Wed, 21 Oct 2015 07:28:00 -0000", "²")] == [None] * 5


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(FaultKind.HANG), OperationTimeoutError),
        (Fault(FaultKind.DRIP, seconds=0.1), OperationTimeoutError),
        (Fault(FaultKind.LATENCY, seconds=5), OperationTimeoutError),
        (Fault(FaultKind.SLOW_CLOSE, seconds=5), OperationTimeoutError),
        (Fault(FaultKind.RESET), ServiceUnavailableError),
        (Fault(FaultKind.GARBAGE), ServiceUnavailableError),
        (Fault(FaultKind.TRUNCATE), ServiceUnavailableError),
        (Fault(FaultKind.STATUS, status=500), ServiceUnavailableError),
        (Fault(FaultKind.STATUS, status=408), ServiceUnavailableError),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_faults(
    upstream: UnreliableUpstream, connection: UpstreamConnection, fault: Fault, expected: type[Exception]
) -> None:
    upstream.fail(fault)
    begin = time.monotonic()
    with pytest.raises(expected):
        await connection.get("/stock/A-1", Stock)
    assert time.monotonic() - begin < 4
    upstream.recover()
    assert (await connection.get("/stock/A-1", Stock)).available == 42


async def test_refused(upstream: UnreliableUpstream, connection: UpstreamConnection) -> None:
    await upstream.stop_listening()
    with pytest.raises(ServiceUnavailableError):
        await connection.get("/stock/A-1", Stock)
    await upstream.resume_listening()
    assert (await connection.get("/stock/A-1", Stock)).available == 42


@pytest.mark.parametrize(("asked", "kept"), [(2, 2.0), (100_000, LONGEST_RETRY_AFTER), (None, None)])
async def test_throttling_passes_on_when_to_come_back(
    upstream: UnreliableUpstream, connection: UpstreamConnection, asked: int | None, kept: float | None
) -> None:
    upstream.fail(Fault(FaultKind.STATUS, status=429, retry_after=asked))
    with pytest.raises(ServiceUnavailableError) as throttled:
        await connection.get("/stock/A-1", Stock)
    assert throttled.value.retry_after == kept


async def test_a_refusal_of_our_own_request_is_for_the_typed_client(
    upstream: UnreliableUpstream, connection: UpstreamConnection
) -> None:
    upstream.fail(Fault(FaultKind.STATUS, status=418))
    with pytest.raises(httpx.HTTPStatusError):
        await connection.get("/stock/A-1", Stock)


async def test_an_answer_of_another_shape(connection: UpstreamConnection) -> None:
    class Other(BaseModel):
        price: int

    with pytest.raises(ServiceUnavailableError) as broken:
        await connection.get("/stock/A-1", Other)
    assert broken.value.context["reason"] == "unexpected answer"


async def test_an_answer_that_would_fill_the_memory() -> None:
    bomb = gzip.compress(b'{"sku": "' + b"x" * MAX_ANSWER_BYTES + b'", "available": 1}')
    app = FastAPI()

    @app.get("/stock/A-1")
    async def answer() -> Response:
        return Response(bomb, headers={"Content-Encoding": "gzip"}, media_type="application/json")

    with serving(app) as url:
        async with connect_to(url, POLICY) as connection:
            with pytest.raises(ServiceUnavailableError) as refused:
                await connection.get("/stock/A-1", Stock)
    assert refused.value.context["reason"] == "answer too large"


async def test_the_deadline_of_the_request_cuts_the_call_short(
    upstream: UnreliableUpstream, connection: UpstreamConnection
) -> None:
    upstream.fail(Fault(FaultKind.HANG))
    token = current_deadline.set(Deadline.after(0.05))
    begin = time.monotonic()
    with pytest.raises(OperationTimeoutError):
        await connection.get("/stock/A-1", Stock)
    assert time.monotonic() - begin < 0.4
    current_deadline.reset(token)


async def test_timeouts_of_one_call(upstream: UnreliableUpstream, connection: UpstreamConnection) -> None:
    upstream.fail(Fault(FaultKind.LATENCY, seconds=0.15))
    assert (await connection.get("/stock/A-1", Stock)).available == 42
    with pytest.raises(OperationTimeoutError) as expired:
        await connection.get("/stock/A-1", Stock, timeouts=httpx.Timeout(1.0, read=0.02))
    assert isinstance(expired.value.cause, httpx.ReadTimeout)


async def test_cancellation_passes(upstream: UnreliableUpstream, connection: UpstreamConnection) -> None:
    upstream.fail(Fault(FaultKind.HANG))
    call = asyncio.create_task(connection.get("/stock/A-1", Stock))
    await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_our_own_full_pool_is_not_the_upstreams_failure() -> None:
    with pytest.raises(OverloadedError), upstream_errors("stock", 1.0):
        raise httpx.PoolTimeout("full")
