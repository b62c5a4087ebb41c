"""Secrets that a request or the environment brings in do not come out, neither in an answer nor in the log nor in a trace."""

from pathlib import Path

import httpx
import pytest

from tests.subject import PACKAGE
from tests.support.database import unreachable_url
from tests.support.environment import make_app
from tests.support.failing import SECRET
from tests.support.logs import LogLines
from tests.support.server import connect, serving
from tests.web.conftest import Exported

PLACES: dict[str, str] = {
    "Authorization": f"Bearer {SECRET}",
    "Cookie": f"session={SECRET}",
    "X-Api-Key": SECRET,
    "X-Request-ID": f"{SECRET} with a space",
    "User-Agent": SECRET,
    "X-Database": f"mysql://user:{SECRET}@host/db",
    "Referer": f"https://shop.example/?token={SECRET}",
}


@pytest.mark.parametrize(
    "path",
    ["/fail/quoting", "/fail/endpoint", "/fail/domain/isolated", "/fail/background", "/fail/group/mixed", "/nowhere"],
)
async def test_in_headers_cookies_and_the_query(
    failing_client: httpx.AsyncClient, logs: LogLines, exported: Exported, path: str
) -> None:
    response = await failing_client.get(path, params={"token": SECRET}, headers=PLACES)
    [access] = logs.access()
    assert access["status"] == response.status_code
    assert SECRET not in response.text
    assert SECRET not in str(response.headers)
    assert SECRET not in logs.getvalue()
    assert exported.spans()
    assert SECRET not in exported.everything()


async def test_in_a_body_that_is_valid_up_to_a_point(
    failing_client: httpx.AsyncClient, logs: LogLines, exported: Exported
) -> None:
    response = await failing_client.post("/fail/login", json={"user": SECRET, "password": SECRET, "score": SECRET})
    assert response.status_code == 422
    logs.access()
    assert exported.spans()
    assert SECRET not in response.text + logs.getvalue() + exported.everything()


async def test_in_the_address_of_a_database_that_does_not_answer(
    tmp_path: Path, logs: LogLines, monkeypatch: pytest.MonkeyPatch, exported: Exported
) -> None:
    monkeypatch.setattr(f"{PACKAGE}.lifespan.PATIENCE_SECONDS", 0.05)
    app = make_app(tmp_path, DATABASE_URL=unreachable_url(tmp_path, SECRET))
    with serving(app) as url:
        async with connect(url) as client:
            report = await client.get("/health")
    assert report.status_code == 503
    assert any("exception" in line for line in logs.all())
    assert exported.spans()
    assert SECRET not in report.text + logs.getvalue() + exported.everything()
