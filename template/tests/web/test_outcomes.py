"""What becomes of requests that cannot simply be answered; docs/errors.md has the table."""

import asyncio
import time

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support import failing
from tests.support.bodies import read_error
from tests.support.failing import SECRET
from tests.support.logs import LogLines


async def test_failing_background_task_leaves_the_answer_alone(
    failing_client: httpx.AsyncClient, logs: LogLines
) -> None:
    response = await failing_client.get("/fail/background")
    assert (response.status_code, response.json()) == (200, {"number": 1})
    [access] = logs.access()
    assert (access["status"], access["complete"]) == (200, True)
    [error] = logs.of_level("error")
    assert error["exception"]["type"] == "RuntimeError"
    assert SECRET not in logs.getvalue()


async def test_the_deadline_is_lifted_when_the_answer_begins(failing_client: httpx.AsyncClient) -> None:
    """The rest of a stream, and what runs after it, may call upstreams for as long as it likes."""
    failing.after_answers.clear()
    response = await failing_client.get("/fail/after")
    assert response.text == "begun 5"
    async with asyncio.timeout(5):
        while not failing.after_answers:
            await asyncio.sleep(0.01)
    assert failing.after_answers == [5.0]


@pytest.mark.parametrize("error", ["foreign", "own"])
async def test_failing_stream_is_cut_off(failing_client: httpx.AsyncClient, logs: LogLines, error: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await failing_client.get(f"/fail/stream?error={error}")
    [access] = logs.access()
    assert (access["status"], access["complete"]) == (200, False)
    [record] = logs.of_level("error")
    assert record["exception"]["stack"]
    assert SECRET not in logs.getvalue()


async def test_group_of_our_own_errors_answers_with_the_gravest(
    failing_client: httpx.AsyncClient, logs: LogLines
) -> None:
    response = await failing_client.get("/fail/group/own")
    assert response.status_code == 409
    assert read_error(response).code == "conflict"
    logs.access()
    assert logs.of_level("error") == []


async def test_group_with_a_foreign_error_is_a_failure_of_ours(
    failing_client: httpx.AsyncClient, logs: LogLines
) -> None:
    response = await failing_client.get("/fail/group/mixed")
    assert response.status_code == 500
    assert read_error(response).code == "internal_error"
    logs.access()
    [error] = logs.of_level("error")
    assert {"RuntimeError"} <= {cause["type"] for cause in error["exception"]["causes"]}
    assert SECRET not in response.text + logs.getvalue()


async def test_work_goes_on_when_the_client_has_left(failing_service: str, logs: LogLines) -> None:
    host, port = failing_service.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /fail/slow?seconds=0.1 HTTP/1.1\r\nHost: test\r\n\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    [access] = logs.access()
    assert (access["status"], access["duration_ms"] >= 90) == (200, True)
    assert logs.of_level("error") == []


async def test_a_stream_ends_when_the_client_has_left(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    async with failing_client.stream("GET", "/fail/endless") as response:
        assert response.status_code == 200
    [access] = logs.access()
    assert (access["status"], access["complete"]) == (200, False)
    assert logs.of_level("error") == []


async def test_a_stream_may_outlast_the_deadline(failing_client: httpx.AsyncClient) -> None:
    begin = time.monotonic()
    async with failing_client.stream("GET", "/fail/endless") as response:
        async for _ in response.aiter_bytes():
            if time.monotonic() - begin > 1.2:
                break
    assert time.monotonic() - begin > 1.2


def _socket_url(service: str, when: str) -> str:
    return f"{service.replace('http', 'ws', 1)}/fail/socket/{when}"


async def test_websocket_refused_before_it_is_accepted(failing_service: str, logs: LogLines) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(_socket_url(failing_service, "before")):
            pass
    answer = refused.value.response
    assert answer.status_code == 403
    assert b'"forbidden"' in (answer.body or b"")
    assert answer.headers["x-request-id"]
    await asyncio.sleep(0.05)  # What the server says of it comes after the answer.
    assert logs.of_level("error") == []


async def test_a_client_may_leave_a_websocket(failing_service: str, logs: LogLines) -> None:
    async with websockets.connect(f"{failing_service.replace('http', 'ws', 1)}/fail/numbers/7") as connection:
        assert await connection.recv() == "7"
    await asyncio.sleep(0.05)
    assert logs.of_level("error") == []


async def test_websocket_with_parameters_that_do_not_fit(failing_service: str, logs: LogLines) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(f"{failing_service.replace('http', 'ws', 1)}/fail/numbers/{SECRET}"):
            pass
    assert refused.value.response.status_code == 422
    assert b'"validation_error"' in (refused.value.response.body or b"")
    assert SECRET.encode() not in (refused.value.response.body or b"")
    assert logs.of_level("error") == []


@pytest.mark.parametrize(("when", "code", "records"), [("after", 1011, 1), ("client", 1008, 0)])
async def test_websocket_closed_after_it_was_accepted(
    failing_service: str, logs: LogLines, when: str, code: int, records: int
) -> None:
    async with websockets.connect(_socket_url(failing_service, when)) as connection:
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert closed.value.rcvd.reason == ""
    assert len(logs.of_level("error")) == records
    assert SECRET not in logs.getvalue()
