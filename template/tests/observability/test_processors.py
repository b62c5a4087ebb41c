"""Processors of structlog that a service adds see every line."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from tests.subject import write_lines
from tests.support.logs import LogLines


def _without_probes(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if event.get("route") == "/livez":
        raise structlog.DropEvent
    return event


def _with_token(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**event, "token": "hunter2"}


@pytest.fixture
def _processor(request: pytest.FixtureRequest) -> Iterator[None]:
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[request.param, *processors])
    yield
    structlog.configure(processors=processors)


@pytest.mark.usefixtures("_processor")
@pytest.mark.parametrize("_processor", [_without_probes], indirect=True)
def test_one_may_drop_a_line_of_many(logs: LogLines) -> None:
    write_lines("access", [("info", 1.0, {"event": "request", "route": route}) for route in ("/a", "/livez", "/b")])
    assert [line["route"] for line in logs.all()] == ["/a", "/b"]


@pytest.mark.usefixtures("_processor")
@pytest.mark.parametrize("_processor", [_with_token], indirect=True)
def test_what_one_adds_is_masked(logs: LogLines) -> None:
    write_lines("access", [("info", 1.0, {"event": "request"})])
    assert [line["token"] for line in logs.all()] == ["***"]
