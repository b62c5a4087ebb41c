"""Every fault is shown over real sockets: a double that cannot fail as told would prove nothing."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tools import unreliable_upstream
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream, main

pytestmark = pytest.mark.anyio

DELAY = 0.03  # s; long beside loopback, short beside a test run
STOCK_BODY = b'{"sku": "a", "available": 42}'
STOCK_REQUEST = b"GET /stock/a HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def upstream() -> AsyncIterator[UnreliableUpstream]:
    async with UnreliableUpstream() as running:
        yield running


@pytest.fixture
async def client(upstream: UnreliableUpstream) -> AsyncIterator[httpx.AsyncClient]:
    # Without verify=False each client would load the CA certificates, which costs most of a test.
    async with httpx.AsyncClient(base_url=upstream.url, timeout=2, trust_env=False, verify=False) as running:
        yield running


async def raw(upstream: UnreliableUpstream, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    try:
        writer.write(request)
        async with asyncio.timeout(2):
            return await reader.read()
    finally:
        writer.close()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait up to 2 s for what happens on the other side of a socket and cannot be awaited."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen within 2 s")


# --- the healthy server


async def test_stock_is_42_unless_set(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    upstream.stock["b c"] = 7
    assert (await client.get("/stock/a")).json() == {"sku": "a", "available": 42}
    assert (await client.get("/stock/b%20c?x=1")).json() == {"sku": "b c", "available": 7}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/stock/missing-1", 404),
        ("GET", "/stock/", 404),
        ("GET", "/stock/a/b", 404),
        ("GET", "/other", 404),
        ("POST", "/other", 404),
        ("PATCH", "/_fault", 404),
        ("POST", "/stock/a", 200),
        ("GET", "/healthz", 200),
    ],
)
async def test_routes_answer_json(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert isinstance(response.json(), dict)


async def test_connection_is_kept_alive_also_past_bodiless_answers(
    upstream: UnreliableUpstream, client: httpx.AsyncClient
) -> None:
    upstream.fail(Fault(FaultKind.STATUS, status=204, times=1))
    responses = [await client.get("/stock/a"), await client.head("/stock/a")]
    responses.append(await client.get("/stock/a"))
    assert [response.status_code for response in responses] == [204, 200, 200]
    ports = {response.extensions["network_stream"].get_extra_info("client_addr")[1] for response in responses}
    assert len(ports) == 1


async def test_connection_is_closed_when_the_client_asks(upstream: UnreliableUpstream) -> None:
    answer = await raw(upstream, STOCK_REQUEST[:-2] + b"Connection: Close\r\n\r\n")
    assert answer.endswith(b"Connection: close\r\nContent-Length: 29\r\n\r\n" + STOCK_BODY)


async def test_healthy_answers_meet_no_delay_of_nagle(client: httpx.AsyncClient) -> None:
    durations = []
    for _ in range(9):
        start = time.monotonic()
        await client.get("/stock/a")
        durations.append(time.monotonic() - start)
    assert sorted(durations)[4] < 0.03  # the median, for a busy machine; Nagle makes it 0.04 s


async def test_requests_are_recorded_and_reset(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    await client.post("/stock/a?x=1", json={"n": 1}, headers=[("X-A", "1"), ("X-A", "2")])
    await client.get("/healthz")
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/stock/a?x=1")
    assert request.headers["x-a"] == "1, 2"
    assert json.loads(request.body) == {"n": 1}
    assert (await client.get("/_requests")).json() == {"count": 1}
    upstream.reset_requests()
    assert upstream.requests == []
    assert (await client.get("/_requests")).json() == {"count": 0}


async def test_kept_requests_are_bounded_but_all_are_counted(
    upstream: UnreliableUpstream, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreliable_upstream, "MAX_KEPT_REQUESTS", 2)
    for sku in "abc":
        await client.get(f"/stock/{sku}")
    assert [request.path for request in upstream.requests] == ["/stock/b", "/stock/c"]
    assert upstream.request_count == 3


# --- the faults


async def test_latency_delays_the_right_answer(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    upstream.fail(Fault(FaultKind.LATENCY, seconds=DELAY))
    start = time.monotonic()
    response = await client.get("/stock/a")
    assert time.monotonic() - start >= DELAY
    assert response.content == STOCK_BODY


async def test_hang_lasts_until_recovery(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    upstream.fail(Fault(FaultKind.HANG, times=1))
    hanging = asyncio.create_task(client.get("/stock/a"))
    await eventually(lambda: upstream.request_count == 1)
    assert (await client.get("/stock/a")).status_code == 200  # `times` is used up ...
    await asyncio.sleep(DELAY)
    assert not hanging.done()  # ... and yet the request it hit is not released
    upstream.recover()
    await asyncio.sleep(0)
    upstream.recover()  # a release that is under way is not an error
    assert (await hanging).content == STOCK_BODY


async def test_hung_connection_is_freed_when_the_client_gives_up(
    upstream: UnreliableUpstream, client: httpx.AsyncClient
) -> None:
    upstream.fail(Fault(FaultKind.HANG))
    before = asyncio.all_tasks()
    with pytest.raises(httpx.ReadTimeout):
        await client.get("/stock/a", timeout=DELAY)
    await eventually(lambda: asyncio.all_tasks() == before)
    upstream.recover()  # nothing is left to release


async def test_reset_sends_rst(upstream: UnreliableUpstream) -> None:
    upstream.fail(Fault(FaultKind.RESET))
    with pytest.raises(ConnectionResetError):
        await raw(upstream, STOCK_REQUEST)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        (Fault(FaultKind.STATUS), 503, None),
        (Fault(FaultKind.STATUS, status=429, retry_after=2), 429, "2"),
        (Fault(FaultKind.STATUS, status=599, retry_after=0), 599, "0"),
    ],
)
async def test_status(
    upstream: UnreliableUpstream,
    client: httpx.AsyncClient,
    fault: Fault,
    status: int,
    retry_after: str | None,
) -> None:
    upstream.fail(fault)
    response = await client.post("/stock/a")
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert len(upstream.requests) == 1


async def test_drip_sends_headers_at_once_and_then_single_bytes(
    upstream: UnreliableUpstream, client: httpx.AsyncClient
) -> None:
    upstream.fail(Fault(FaultKind.DRIP, seconds=0.01))
    start = time.monotonic()
    async with client.stream("GET", "/stock/a") as response:
        assert response.headers["content-length"] == str(len(STOCK_BODY))
        pieces = [piece async for piece in response.aiter_raw()]
    assert time.monotonic() - start >= len(STOCK_BODY) * 0.01
    assert b"".join(pieces) == STOCK_BODY
    assert len(pieces) > len(STOCK_BODY) // 2  # a busy machine may merge a few


async def test_slow_close_withholds_only_the_end(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    upstream.fail(Fault(FaultKind.SLOW_CLOSE, seconds=DELAY))
    async with client.stream("GET", "/stock/a") as response:
        assert "content-length" not in response.headers
        assert response.headers["connection"] == "close"
        pieces = response.aiter_raw()
        received = b""
        while received != STOCK_BODY:
            received += await anext(pieces)
        start = time.monotonic()
        with pytest.raises(StopAsyncIteration):
            await anext(pieces)
    assert time.monotonic() - start >= DELAY / 2  # the delay began before the body was read


async def test_garbage_is_not_http(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    upstream.fail(Fault(FaultKind.GARBAGE))
    with pytest.raises(httpx.RemoteProtocolError, match="illegal status line"):
        await client.get("/stock/a")


async def test_truncate_closes_before_the_promised_length(
    upstream: UnreliableUpstream, client: httpx.AsyncClient
) -> None:
    upstream.fail(Fault(FaultKind.TRUNCATE))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message"):
        await client.get("/stock/a")


async def test_limited_fault_recovers_by_itself(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    upstream.fail(Fault(FaultKind.STATUS, times=2))
    assert (await client.get("/healthz")).status_code == 200  # a probe uses nothing up
    statuses = []
    for _ in range(3):
        statuses.append((upstream.fault.times, (await client.get("/stock/a")).status_code))
    assert statuses == [(2, 503), (1, 503), (None, 200)]


async def test_stop_refuses_and_resume_accepts_on_the_same_port(
    upstream: UnreliableUpstream, client: httpx.AsyncClient
) -> None:
    port = upstream.port
    await client.get("/stock/a")  # leaves a connection in the pool of the client
    for _ in range(2):
        await upstream.stop_listening()
        await upstream.stop_listening()
        with pytest.raises(httpx.ConnectError):
            await client.get("/stock/a")
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", port))
        await upstream.resume_listening()
        await upstream.resume_listening()
        assert (await client.get("/stock/a")).status_code == 200
    assert upstream.port == port


@pytest.mark.parametrize("turns", range(6))
async def test_stop_drops_a_connection_at_any_stage_of_its_accept(upstream: UnreliableUpstream, turns: int) -> None:
    with socket.create_connection(("127.0.0.1", upstream.port)) as caller:
        caller.settimeout(0.5)
        for _ in range(turns):
            await asyncio.sleep(0)
        await upstream.stop_listening()
        await asyncio.sleep(0.01)
        with suppress(ConnectionResetError):
            assert caller.recv(1) == b""


async def test_close_ends_every_connection_at_once_and_leaks_no_task() -> None:
    before = asyncio.all_tasks()
    async with UnreliableUpstream() as upstream:
        callers = [asyncio.create_task(raw(upstream, b""))]  # an idle connection
        # The hang comes last, because a change of fault releases what hangs.
        kinds = (FaultKind.LATENCY, FaultKind.DRIP, FaultKind.SLOW_CLOSE, FaultKind.HANG)
        for kind in kinds:
            upstream.reset_requests()
            upstream.fail(Fault(kind, seconds=60))
            callers.append(asyncio.create_task(raw(upstream, STOCK_REQUEST)))
            await eventually(lambda: upstream.request_count == 1)
        assert asyncio.all_tasks() > before
        start = time.monotonic()
    # Before anything else is awaited: nothing may need a later turn of the loop to end.
    assert asyncio.all_tasks() == {*before, *(task for task in callers if not task.done())}
    answers = await asyncio.gather(*callers)
    assert time.monotonic() - start < 1
    assert [STOCK_BODY in answer for answer in answers] == [False, False, False, True, False]


# --- the control path


async def test_fault_is_set_shown_and_ended_over_http(client: httpx.AsyncClient) -> None:
    wanted = {"kind": "status", "status": 429, "retry_after": 2, "times": 3}
    assert (await client.put("/_fault", json=wanted)).json() == {**wanted, "seconds": 1.0}
    assert (await client.get("/stock/a")).status_code == 429
    assert (await client.get("/_fault")).json() == {**wanted, "seconds": 1.0, "times": 2}
    assert (await client.delete("/_fault")).json()["kind"] == "none"
    assert (await client.get("/stock/a")).status_code == 200
    assert (await client.get("/_requests")).json() == {"count": 2}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", "body"),
        ("[1]", "body"),
        ("[" * 20_000, "body"),
        ("{}", "'kind'"),
        ('{"kind": "flood"}', "'kind'"),
        ('{"kind": []}', "'kind'"),
        ('{"kind": "latency", "delay": 1}', "'delay'"),
        ('{"kind": "latency", "seconds": -1}', "'seconds'"),
        ('{"kind": "latency", "seconds": NaN}', "'seconds'"),
        ('{"kind": "latency", "seconds": "1"}', "'seconds'"),
        ('{"kind": "status", "status": 199}', "'status'"),
        ('{"kind": "status", "status": 600}', "'status'"),
        ('{"kind": "status", "status": 503.0}', "'status'"),
        ('{"kind": "status", "retry_after": -1}', "'retry_after'"),
        ('{"kind": "status", "retry_after": "2"}', "'retry_after'"),
        ('{"kind": "status", "times": 0}', "'times'"),
        ('{"kind": "status", "times": true}', "'times'"),
    ],
)
async def test_bad_control_input_names_the_field_and_changes_nothing(
    upstream: UnreliableUpstream, client: httpx.AsyncClient, body: str, named: str
) -> None:
    upstream.fail(Fault(FaultKind.STATUS, status=418))
    response = await client.put("/_fault", content=body)
    assert response.status_code == 400
    assert re.fullmatch(rf"[^.]*{named}[^.]*\.", response.json()["detail"])
    assert upstream.fault == Fault(FaultKind.STATUS, status=418)


# --- input that is not a proper request


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"GET stock HTTP/1.1\r\n\r\n",
        b"GET /stock/a HTTP/1.0\r\n\r\n",
        b"GET /stock/a HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /stock/a HTTP/1.1\r\nX : 1\r\n\r\n",
        b"POST /stock/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /stock/a HTTP/1.1\r\nContent-Length: 65537\r\n\r\n",
        b"POST /stock/a HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /stock/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x00" * 1_000_000,
        b"POST /stock/a HTTP/1.1\r\nContent-Length: 65537\r\n\r\n" + b"x" * 1_000_000,
    ],
    ids=range(11),
)
async def test_malformed_or_oversized_request_gets_400_and_a_close(
    upstream: UnreliableUpstream, request_bytes: bytes
) -> None:
    answer = await raw(upstream, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close\r\n" in answer
    assert upstream.requests == []


async def test_body_of_the_largest_size_is_read(upstream: UnreliableUpstream, client: httpx.AsyncClient) -> None:
    await client.post("/stock/a", content=b"x" * 65536)
    assert len(upstream.requests[0].body) == 65536


async def test_client_that_leaves_at_any_point_ends_quietly(
    upstream: UnreliableUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.all_tasks()
    upstream.fail(Fault(FaultKind.HANG))
    for part in (b"", b"GET /st", b"POST /stock/a HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"):
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(part)
        await asyncio.sleep(0.005)
        writer.close()
    await eventually(lambda: asyncio.all_tasks() == before)
    assert caplog.records == []
    assert upstream.requests == []


# --- the command line


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_command_line_serves_until_a_signal_ends_it(signum: signal.Signals) -> None:
    # -I, as a PYTHONUNBUFFERED in the environment would hide that the ready line is not flushed.
    command = [sys.executable, "-I", str(Path(unreliable_upstream.__file__)), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            found = re.fullmatch(r"unreliable upstream ready at (http://127\.0\.0\.1:\d+)\n", ready)
            assert found, ready
            with httpx.Client(base_url=found[1], trust_env=False, verify=False) as client:
                assert client.put("/_fault", json={"kind": "hang"}).status_code == 200
                with pytest.raises(httpx.ReadTimeout):
                    client.get("/stock/a", timeout=DELAY)
                assert client.get("/_requests").json() == {"count": 1}
                process.send_signal(signum)  # while a connection is open
                assert process.communicate(timeout=2) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 0


def test_command_line_reports_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    url = f"http://127.0.0.1:{port}"
    assert capsys.readouterr() == ("", f"Cannot serve at {url}: Address already in use.\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "the host must be loopback (127.0.0.1 or localhost)"),
        (["--host", "example.org"], "the host must be loopback (127.0.0.1 or localhost)"),
        (["--port", "70000"], "the port must be from 0 to 65535"),
    ],
)
def test_command_line_refuses_other_addresses(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    # The port is taken, so that an address let through by mistake cannot be served for ever.
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(SystemExit) as exit_info:
            main(["--port", port, *arguments])
    assert exit_info.value.code == 2
    assert reason in capsys.readouterr().err
