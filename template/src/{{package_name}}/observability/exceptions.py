"""Describe an exception for the log: everything an engineer needs, and nothing a request or a row brought in.

A foreign exception may quote anything in its text: a password it could not parse, a row that broke a constraint. So
of its text only those parts are kept that stand as constants in the function that raised it; what was filled in
becomes "…". Frames are named by file, line and function, without locals and without source text.
"""

import logging
import re
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any

from ..errors.hierarchy import ApplicationError
from .printable import printable
from .redaction import LONGEST_TEXT, redact_random, redact_text

MOST_FRAMES = 50
MOST_CAUSES = 10
GAP = "…"

MOST_PLACES = 10_000
_places: dict[tuple[int, int], tuple[CodeType, str]] = {}
"""By code and instruction; each holds on to its code, so that no other one gets the same id."""


class ReportedError(Exception):
    """Raised in the place of an error that is in the log already, where the server must still learn of a failure."""


# uvicorn says so of every WebSocket that is refused with an answer, as if that were no end of a handshake.
_FALSE_ALARM = "ASGI callable returned without completing handshake."


def is_news(record: logging.LogRecord) -> bool:
    """A logging filter: the server's own word on a failure that is in the log already says nothing new."""
    reported = record.exc_info and isinstance(record.exc_info[1], ReportedError)
    return not reported and record.msg != _FALSE_ALARM


def describe_exception(error: BaseException) -> dict[str, Any]:
    """`type`, `message`, `stack` (outermost frame first) and `causes`, each of which has the first three."""
    return _describe(error) | {"causes": [_describe(cause) for cause in _causes(error)]}


def as_text(described: dict[str, Any]) -> str:
    """What `describe_exception` found, on lines for people."""
    return "\ncaused by\n".join(
        "\n".join(map(printable, [f"{one['type']}: {one['message']}", *(f"  {frame}" for frame in one["stack"])]))
        for one in (described, *described["causes"])
    )


def _describe(error: BaseException) -> dict[str, Any]:
    stack, code = _stack(error.__traceback__)
    return {"type": _type_name(type(error)), "message": _message(error, code), "stack": stack}


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _causes(error: BaseException) -> list[BaseException]:
    """What led to `error`, nearest first: causes, contexts that were not suppressed, and members of groups."""
    found: list[BaseException] = []
    queue = [error]
    while queue and len(found) <= MOST_CAUSES:
        current = queue.pop(0)
        if any(current is known for known in found):
            continue
        found.append(current)
        if isinstance(current, BaseExceptionGroup):
            queue.extend(current.exceptions)
        previous = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if previous is not None:
            queue.append(previous)
    return found[1:]


def _message(error: BaseException, code: CodeType | None) -> str:
    if isinstance(error, ApplicationError):
        return redact_text(error.message)
    try:
        text = str(error)[:LONGEST_TEXT]
    except Exception:  # noqa: BLE001 - an exception that cannot even be printed must still be logged
        return GAP
    return redact_random(_constant_parts(text, code))


def _constant_parts(text: str, code: CodeType | None) -> str:
    """`text` with all that is not a constant of `code` replaced by "…"."""
    parts, end = [], 0
    for part in _constants(code).finditer(text):
        parts += [GAP, part[0]] if part.start() > end else [part[0]]
        end = part.end()
    return "".join([*parts, GAP] if end < len(text) else parts)


@lru_cache(maxsize=1000)
def _constants(code: CodeType | None) -> re.Pattern[str]:
    """Matches the constant texts of `code`, longer ones first; shorter ones than three characters match by chance."""
    constants = code.co_consts if code else ()
    texts = [text for text in constants if isinstance(text, str) and len(text.strip()) >= 3]
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")


def _stack(traceback: TracebackType | None) -> tuple[list[str], CodeType | None]:
    """Where each frame is, from the outermost on, and the code of the innermost."""
    stack, code = [], None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        known = _places.get((id(code), traceback.tb_lasti))
        stack.append(known[1] if known is not None else _place(traceback, code))
        traceback = traceback.tb_next
    if len(stack) > MOST_FRAMES:
        half = MOST_FRAMES // 2
        stack[half:-half] = [f"{GAP} more frames"]  # Not how many: a recursion is the same however deep it went.
    return stack, code


def _place(frame: TracebackType, code: CodeType) -> str:
    """Where `frame` is, kept for the next time: to find the line of an instruction takes long."""
    place = f"{code.co_filename}:{frame.tb_lineno} in {code.co_qualname}"
    if len(_places) >= MOST_PLACES:
        _places.clear()
    _places[id(code), frame.tb_lasti] = code, place
    return place
