"""A line is JSON whatever it holds."""

import json
import logging
from typing import Any

import pytest

from tests.subject import get_logger, write_lines
from tests.support.logs import LogLines


@pytest.mark.parametrize(
    ("value", "written"),
    [("\ud800", "\ud800"), (2**70, 2**70), (float("nan"), None), ({1: "one"}, {"1": "one"}), ((1, "two"), [1, "two"])],
)
def test_values(logs: LogLines, value: Any, written: Any) -> None:
    get_logger(__name__).info("odd", value=value)
    [line] = logs.all()
    assert line["value"] == written


def test_many_lines_at_once(logs: LogLines) -> None:
    write_lines(
        "access",
        [
            ("info", 1_000_000_000.25, {"event": "request", "request_id": "r-1", "path": "/a"}),
            ("debug", 1_000_000_001.0, {"event": "nothing"}),
            ("warning", 1_000_000_002.0, {"event": "slow request"}),
        ],
    )
    first, second = logs.all()
    assert first == {
        "event": "request",
        "level": "info",
        "logger": "access",
        "timestamp": "2001-09-09T01:46:40.250000Z",
        "request_id": "r-1",
        "path": "/a",
    }
    assert (second["event"], second["level"]) == ("slow request", "warning")


def test_no_line_is_written_where_there_is_none(logs: LogLines) -> None:
    write_lines("access", [])
    assert logs.getvalue() == ""


def test_the_time_of_a_line_is_that_of_its_second(logs: LogLines) -> None:
    for at in (1.0, 1.5, 2.0, 1.25):
        write_lines("access", [("info", at, {"event": "request"})])
    assert [line["timestamp"][17:] for line in logs.all()] == ["01.000000Z", "01.500000Z", "02.000000Z", "01.250000Z"]


def test_lines_of_libraries_have_their_exception(logs: LogLines) -> None:
    logging.getLogger("library").warning("failed", exc_info=LookupError("no such shelf"))
    assert json.loads(logs.getvalue())["exception"]["type"] == "LookupError"


def test_a_field_may_be_called_like_a_time(logs: LogLines) -> None:
    get_logger(__name__).info("odd", at="soon")
    assert logs.all()[0]["at"] == "soon"
