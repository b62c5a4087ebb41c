"""What every request gets, failing or not."""

import httpx
import pytest

from tests.conftest import ORIGIN
from tests.subject import PACKAGE, choose_request_id
from tests.support.bodies import read_error
from tests.support.logs import LogLines


async def test_a_plain_request_id_is_kept(client: httpx.AsyncClient, logs: LogLines) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": "order-42.a_b"})
    assert response.headers.get_list("x-request-id") == ["order-42.a_b"]
    assert logs.access()[0]["request_id"] == "order-42.a_b"


@pytest.mark.parametrize("offered", ["", "a b", "a\tb", "x" * 129, "x" * 60_000, "{}", "ü"])
async def test_any_other_is_replaced(client: httpx.AsyncClient, logs: LogLines, offered: str) -> None:
    response = await client.get("/livez", headers=[(b"X-Request-ID", offered.encode())])
    assert len(response.headers["x-request-id"]) == 32
    assert logs.access()[0]["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("offered", [b"a\r\nb", b"a\n", b"\x1b[31m", b"a\x00", b"\xc2\x9b31m", b"a\xe2\x80\xa8b"])
def test_whatever_a_server_lets_pass(offered: bytes) -> None:
    assert len(choose_request_id(offered)) == 32


async def test_the_access_line_tells_the_template_and_no_query(client: httpx.AsyncClient, logs: LogLines) -> None:
    await client.get("/livez?token=canary-4f9d2c71")
    [line] = logs.access()
    assert (line["method"], line["path"], line["route"], line["status"]) == ("GET", "/livez", "/livez", 200)
    assert line["level"] == "info"
    assert line["duration_ms"] > 0
    assert "canary" not in logs.getvalue()


async def test_a_secret_in_a_path_is_not_in_the_access_line(client: httpx.AsyncClient, logs: LogLines) -> None:
    await client.get("/links/token=canary-4f9d2c71/x")
    [line] = logs.access()
    assert line["path"].startswith("/links/token=***")
    assert "canary" not in logs.getvalue()


async def test_line_breaks_in_a_path_do_not_break_the_line(client: httpx.AsyncClient, logs: LogLines) -> None:
    await client.get('/a%0d%0a%7b"level":"error"%7d%1b[31m')
    [line] = logs.access()
    assert logs.all() == [line]
    assert (line["level"], line["route"]) == ("info", "unmatched")


async def test_a_long_path_is_cut(client: httpx.AsyncClient, logs: LogLines) -> None:
    await client.get("/" + "x" * 60_000)
    assert len(logs.access()[0]["path"]) == 500


async def test_slow_requests_are_a_warning(
    failing_client: httpx.AsyncClient, logs: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{PACKAGE}.web.access_log.SLOW_SECONDS", 0.05)
    await failing_client.get("/fail/slow?seconds=0.06")
    [line] = logs.access()
    assert (line["event"], line["level"]) == ("slow request", "warning")


async def test_the_route_has_its_prefix(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    await failing_client.get("/fail/http/404")
    assert logs.access()[0]["route"] == "/fail/http/{status}"


async def test_cors_preflight(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    allowed = await failing_client.options("/fail/login", headers=ask)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert allowed.headers["x-request-id"]
    refused = await failing_client.options("/fail/login", headers=ask | {"Origin": "https://evil.example"})
    assert refused.status_code == 400
    assert read_error(refused).code == "cors_refused"
    assert "access-control-allow-origin" not in refused.headers
    assert len(logs.access(2)) == 2


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/nowhere", 404), ("/fail/endpoint", 500)])
async def test_cors_headers_are_on_every_answer(failing_client: httpx.AsyncClient, path: str, status: int) -> None:
    response = await failing_client.get(path, headers={"Origin": ORIGIN})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, ORIGIN)
    stranger = await failing_client.get(path, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


async def test_too_large_is_readable_across_origins(failing_client: httpx.AsyncClient) -> None:
    response = await failing_client.post("/fail/login", content=b"x" * 2_000, headers={"Origin": ORIGIN})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (413, ORIGIN)
