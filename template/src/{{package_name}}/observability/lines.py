"""What a log line consists of, whoever logs it."""

import json
import sys
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from .context import request_id, trace_id_of, traceparent
from .printable import printable
from .redaction import redact_fields
from .stack_limit import StackLimit

Line = tuple[str, float, dict[str, Any]]
"""A level, seconds of the epoch, and fields that hold no secret, with `event`: what is written later, for many at once."""

stacks = StackLimit()
"""One for the process, as the log is."""


def complete(fields: MutableMapping[str, Any], level: str, logger: str | None, at: float | None = None) -> None:
    """Mask what the caller gave, and add what every line has.

    Args:
        fields: those of the caller, with `event`; `exc_info` is an exception or what `logging` takes for one.
        level: of the line.
        logger: its name.
        at: when it happened, in seconds of the epoch; now when omitted.
    """
    error = _exception(fields.pop("exc_info", None))
    redact_fields(fields)
    add_origin(fields, level, logger, at or time.time())
    add_circumstances(fields, error)


def add_circumstances(fields: MutableMapping[str, Any], error: BaseException | None) -> None:
    """Tell of which request and trace a line is, and describe `error`."""
    if "request_id" not in fields and (current := request_id.get()) is not None:
        fields["request_id"] = current
    if "trace_id" not in fields and (parent := traceparent.get()) is not None:
        fields["trace_id"] = trace_id_of(parent)
    if error is not None:
        fields["exception"] = stacks.describe(error)


def add_origin(fields: MutableMapping[str, Any], level: str, logger: str | None, at: float) -> None:
    """Tell what a line is, where it comes from, and that it happened `at` seconds of the epoch."""
    fields["level"] = level
    fields["logger"] = logger
    fields["timestamp"] = f"{_to_the_second(int(at))}.{str(int(at % 1 * 1_000_000)).zfill(6)}Z"


def as_json(fields: MutableMapping[str, Any]) -> str:
    """One line of JSON."""
    try:
        line = orjson.dumps(fields).decode()
    except TypeError:  # A lone surrogate, an integer beyond 64 bits, a key that is no text.
        return json.dumps(fields)
    # orjson escapes what ASCII has of control characters, but Unicode has more, and other ends of a line.
    return line if line.isascii() else printable(line)


@lru_cache(maxsize=1)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _exception(given: object) -> BaseException | None:
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple):
        given = given[1]
    return given if isinstance(given, BaseException) else None
