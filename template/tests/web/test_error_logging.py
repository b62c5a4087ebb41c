"""`ERROR_HANDLING_ENABLE_ERROR_LOGGING` decides whether failures leave a record; answers and access lines stay."""

from pathlib import Path

import httpx
import pytest

from tests.support import failing
from tests.support.bodies import read_error
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving


@pytest.mark.parametrize(("setting", "records"), [("true", 1), ("false", 0)])
async def test_setting(tmp_path: Path, logs: LogLines, setting: str, records: int) -> None:
    app = make_app(tmp_path, ERROR_HANDLING_ENABLE_ERROR_LOGGING=setting)
    app.include_router(failing.router)
    with serving(app) as url:
        async with connect(url) as client:
            assert (await client.get("/fail/endpoint")).status_code == 500
    assert logs.access()[0]["status"] == 500
    assert len(logs.of_level("error")) == records


async def test_an_answer_does_not_depend_on_the_log(
    failing_client: httpx.AsyncClient, logs: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "full", True)
    for path, status in (("endpoint", 500), ("domain/unavailable", 503), ("logging", 200)):
        response = await failing_client.get(f"/fail/{path}")
        assert response.status_code == status
        if status != 200:
            assert read_error(response).code
