"""`ERROR_HANDLING_ENABLE_ERROR_LOGGING` decides whether failures leave a record; answers and access lines stay."""

from pathlib import Path

import pytest

from tests.support import failing
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
