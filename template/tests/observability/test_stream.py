"""The stream of the log takes every text, and whoever logs is not troubled by what becomes of it."""

import json
import logging
import os
import subprocess
import sys

import pytest

from tests.subject import PACKAGE, LogStream, get_logger, write_lines
from tests.support.logs import LogLines

log = get_logger(__name__)


def _written(readable: bool, encoding: str) -> bytes:
    script = (
        f"from {PACKAGE}.observability.logs import configure_logging, get_logger\n"
        f"configure_logging(readable={readable})\n"
        "get_logger('shop').info('request', path='/größe/大')\n"
    )
    variables = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=variables).stdout


def test_json_is_utf_8_whatever_the_terminal_is() -> None:
    assert json.loads(_written(False, "ascii").decode())["path"] == "/größe/大"


def test_lines_for_people_are_in_the_encoding_of_the_terminal() -> None:
    assert r"/gr\xf6\xdfe/\u5927" in _written(True, "ascii").decode("ascii")
    assert r"/größe/\u5927" in _written(True, "latin-1").decode("latin-1")


def test_whoever_logs_does_not_fail_and_what_is_missing_is_told(
    logs: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(logs, "full", True)
        log.info("ours")
        logging.getLogger("library").warning("theirs")
        write_lines("access", [("info", 1.0, {"event": "request"}), ("info", 2.0, {"event": "request"})])
    assert logs.getvalue() == ""
    for _ in range(2):
        log.info("written")
    assert sorted(line["event"] for line in logs.all()) == ["4 log lines were lost", "written", "written"]


def test_a_reader_that_has_gone() -> None:
    end, other = os.pipe()
    os.close(end)
    with open(other, "w") as gone:  # noqa: PTH123 - a file descriptor
        stream = LogStream(gone, readable=False)
        stream.write("{}\n")
        with pytest.raises(BrokenPipeError):
            gone.close()
    stream.write("{}\n")
