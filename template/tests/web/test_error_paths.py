"""Every way a request can fail has the right status, the documented body and a request id."""

import json
import math

import httpx
import pytest

from tests.conftest import ORIGIN
from tests.support.bodies import read_error
from tests.support.failing import SECRET
from tests.support.logs import LogLines

JSON = {"content-type": "application/json"}


async def test_unknown_path(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.get("/nowhere")
    assert response.status_code == 404
    assert read_error(response).code == "not_found"


async def test_wrong_method_names_the_right_ones(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.delete("/fail/login")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert read_error(response).code == "method_not_allowed"


async def test_the_methods_of_all_routes_of_a_path_are_named(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.delete("/fail/twice/1")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, PUT")


async def test_a_client_that_is_wrong_in_many_ways_is_told_of_some(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.post("/fail/numbers", json=["x"] * 150)
    assert response.status_code == 422
    assert len(read_error(response).details) == 20


@pytest.mark.parametrize("announced", [True, False])
async def test_body_too_large(failing_client: httpx.AsyncClient, announced: bool) -> None:
    async def chunks() -> object:
        for _ in range(30):
            yield b"x" * 50

    content = b"x" * 1_500 if announced else chunks()
    response = await failing_client.post("/fail/login", content=content, headers=JSON)  # type: ignore[arg-type]
    assert response.status_code == 413
    assert read_error(response).code == "content_too_large"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"user": "u", "password": math.nan}), "application/json"),
        (json.dumps({"user": "u", "password": SECRET, "score": math.nan}), "application/json"),
        (json.dumps({"user": "\ud800", "password": SECRET}), "application/json"),
        (json.dumps({"user": "u", "password": SECRET}), "application/json"),
        (json.dumps({"user": "u", SECRET: 1}), "application/json"),
        (json.dumps({"user": SECRET})[:-1], "application/json"),
        (b"\xff\xfe", "text/plain"),
        (b"\xff\xfe", "application/json"),
        ("", "application/json"),
        ("[" * 900, "application/json"),
    ],
)
async def test_invalid_bodies_are_the_clients_fault_and_not_repeated(
    failing_client: httpx.AsyncClient, logs: LogLines, body: str | bytes, content_type: str
) -> None:
    response = await failing_client.post("/fail/login", content=body, headers={"content-type": content_type})
    assert response.status_code in {400, 422}
    error = read_error(response)
    assert error.code == ("validation_error" if response.status_code == 422 else "bad_request")
    assert SECRET not in response.text
    assert logs.access()[0]["status"] == response.status_code
    assert logs.of_level("error") == []
    assert SECRET not in logs.getvalue()


async def test_what_is_wrong_is_told_where_the_schema_knows(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.post("/fail/login", json={"password": 1})
    details = read_error(response).details
    assert {"loc": ["body", "user"], "msg": "Field required", "type": "missing"} in details
    assert {"loc": ["body", "password"], "msg": "Input should be a valid string", "type": "string_type"} in details


async def test_names_that_only_the_client_knows_are_left_out(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.post("/fail/login", content=json.dumps({SECRET: {SECRET: 1}}), headers=JSON)
    assert all(SECRET not in part for detail in read_error(response).details for part in detail["loc"])


@pytest.mark.parametrize("path", ["/fail/endpoint", "/fail/dependency", "/fail/response"])
async def test_failures_of_ours(failing_client: httpx.AsyncClient, logs: LogLines, path: str) -> None:
    response = await failing_client.get(path, headers={"Origin": ORIGIN})
    assert response.status_code == 500
    assert read_error(response).message == "Internal server error"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    [access], [error] = logs.access(), logs.of_level("error")
    assert (access["status"], access["route"]) == (500, path)
    assert error["request_id"] == access["request_id"] == response.headers["x-request-id"]
    assert error["exception"]["type"]
    assert any("failing.py" in frame or "fastapi" in frame for frame in error["exception"]["stack"])
    assert SECRET not in response.text + logs.getvalue()


async def test_the_record_names_the_cause(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    await failing_client.get("/fail/endpoint")
    exception = logs.of_level("error")[0]["exception"]
    assert exception["type"] == "RuntimeError"
    assert exception["message"] == "cannot use …"
    assert [cause["type"] for cause in exception["causes"]] == ["ValueError"]
    assert exception["causes"][0]["stack"]


async def test_failing_middleware(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    response = await failing_client.get("/fail/slow", headers={"x-fail": "1", "Origin": ORIGIN})
    assert response.status_code == 500
    assert read_error(response).code == "internal_error"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert logs.access()[0]["status"] == 500
    assert len(logs.of_level("error")) == 1
    assert SECRET not in response.text + logs.getvalue()


@pytest.mark.parametrize(
    ("name", "status", "code", "message"),
    [
        ("validation", 400, "validation_error", "The quantity is too large"),
        ("authentication", 401, "authentication_required", "Authentication is required"),
        ("missing", 404, "not_found", "Order not found"),
        ("conflict", 409, "conflict", "User conflicts with the present state in email"),
        ("limited", 429, "rate_limited", "Too many requests"),
        ("unavailable", 503, "service_unavailable", "The service is temporarily unavailable"),
        ("isolated", 500, "isolated_failure", "Internal server error"),
    ],
)
async def test_errors_of_ours_keep_their_status(
    failing_client: httpx.AsyncClient, logs: LogLines, name: str, status: int, code: str, message: str
) -> None:
    response = await failing_client.get(f"/fail/domain/{name}")
    assert response.status_code == status
    error = read_error(response)
    assert (error.code, error.message) == (code, message)
    assert logs.access()[0]["status"] == status
    assert len(logs.of_level("error")) == (status >= 500)
    assert SECRET not in response.text + logs.getvalue()


async def test_headers_of_errors(failing_client: httpx.AsyncClient) -> None:
    assert (await failing_client.get("/fail/domain/limited")).headers["retry-after"] == "3"
    assert (await failing_client.get("/fail/domain/unavailable")).headers["retry-after"] == "7"
    assert (await failing_client.get("/fail/domain/authentication")).headers["www-authenticate"] == "Bearer"
    assert (await failing_client.get("/fail/http/401")).headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 422, 429, 500, 501, 503])
async def test_plain_http_exceptions_lose_their_text(
    failing_client: httpx.AsyncClient, logs: LogLines, status: int
) -> None:
    response = await failing_client.get(f"/fail/http/{status}")
    assert response.status_code == status
    read_error(response)
    logs.access()
    assert SECRET not in response.text + logs.getvalue()
    assert len(logs.of_level("error")) == (status >= 500)


async def test_a_redirect_is_no_error(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    response = await failing_client.get("/fail/http/304")
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["www-authenticate"] == "Basic"
    assert logs.access()[0]["status"] == 304


async def test_deadline(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    response = await failing_client.get("/fail/slow?seconds=5", headers={"Origin": ORIGIN})
    assert response.status_code == 504
    assert read_error(response).code == "timeout"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert 1000 <= logs.access()[0]["duration_ms"] < 4000
    assert logs.of_level("error")[0]["exception"]["type"].endswith("OperationTimeoutError")


async def test_errors_are_not_cached_and_carry_the_security_headers(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.get("/nowhere")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
