"""Every line has the same form, whoever wrote it."""

import io
import json
import logging
import os
import subprocess
import sys

import pytest

from tests.subject import PACKAGE, ReportedError, get_logger, request_id
from tests.support.failing import SECRET
from tests.support.logs import LogLines

log = get_logger(__name__)


def test_our_lines_and_those_of_libraries_have_the_same_fields(logs: LogLines) -> None:
    token = request_id.set("r-1")
    log.warning("ours", sku="A-1", password="canary")
    logging.getLogger("library").warning("theirs %s", "password=canary")
    request_id.reset(token)
    ours, theirs = logs.all()
    assert ours.items() >= {"event": "ours", "logger": __name__, "level": "warning", "request_id": "r-1"}.items()
    assert (ours["sku"], ours["password"]) == ("A-1", "***")
    assert theirs.items() >= {"event": "theirs password=***", "logger": "library", "level": "warning"}.items()
    assert theirs["request_id"] == "r-1"
    assert ours["timestamp"].endswith("Z")
    assert theirs["timestamp"].endswith("Z")


def test_exceptions_are_described_wherever_they_come_from(logs: LogLines) -> None:
    try:
        int(SECRET)
    except ValueError as error:
        log.error("ours", exc_info=error)  # noqa: TRY400 - the form that the service uses
        logging.getLogger("library").exception("theirs")
    assert [line["exception"]["type"] for line in logs.all()] == ["ValueError", "ValueError"]
    assert SECRET not in logs.getvalue()


def test_what_is_in_the_log_already_is_not_told_again(logs: LogLines) -> None:
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=ReportedError())
    assert logs.all() == []


def test_chatty_libraries_are_quiet(logs: LogLines) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET http://host/?token=canary")
    assert logs.all() == []


def test_readable_lines_for_development() -> None:
    script = (
        f"from {PACKAGE}.observability.logs import configure_logging, get_logger\n"
        "configure_logging(readable=True)\n"
        "get_logger('shop').warning('low stock', sku='A-1')\n"
        "try:\n"
        "    raise LookupError('no such shelf') from KeyError(7)\n"
        "except LookupError as error:\n"
        "    get_logger('shop').error('failed', exc_info=error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "low stock" in shown
    assert "A-1" in shown
    assert "LookupError: no such shelf\n" in shown
    assert "caused by\nKeyError: …" in shown
    assert not shown.startswith("{")


HOSTILE = "a\r\n2026-01-01 [error] forged\x1b[2J\x00\x85\x9b31m\u2028\u2029\u202eb"


@pytest.mark.parametrize("readable", [False, True])
def test_no_text_ends_a_line_or_steers_a_terminal(readable: bool) -> None:
    script = (
        "import logging\n"
        f"from {PACKAGE}.errors.hierarchy import ConflictError\n"
        f"from {PACKAGE}.observability.logs import configure_logging, get_logger, write_lines\n"
        f"configure_logging(readable={readable})\n"
        f"hostile = {HOSTILE!r}\n"
        "log = get_logger('shop')\n"
        "log.warning(hostile, field=hostile, inner={hostile: [hostile]}, **{hostile: 1})\n"
        "write_lines('access', [('info', 1.0, {'event': 'request', 'path': hostile})])\n"
        "logging.getLogger('library').warning('GET %s', hostile)\n"
        "log.error('failed', exc_info=ConflictError(hostile, hostile))\n"
    )
    variables = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    written = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=variables).stdout
    first, second, third, *fourth = written.decode().removesuffix("\n").split("\n")
    assert len(fourth) == (2 if readable else 1)
    assert all(line.isprintable() for line in (first, second, third, *fourth))
    assert written.count(b"forged") >= 8


def test_lines_are_json_even_for_what_json_does_not_know(logs: LogLines) -> None:
    log.info("odd", value=io.StringIO, text="\ud800")
    assert json.loads(logs.getvalue())["text"] == "\ud800"
