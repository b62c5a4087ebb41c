"""Describe an exception for the log: everything an engineer needs, and nothing a request or a row brought in.

A foreign exception may quote anything in its text: a password it could not parse, a row that broke a constraint. So
of its text only those parts are kept that stand as constants in the function that raised it; what was filled in
becomes "…". Frames are named by file, line and function, without locals and without source text.
"""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from ..errors.hierarchy import ApplicationError
from .printable import printable
from .redaction import LONGEST_TEXT, redact_random, redact_text

MOST_FRAMES = 50
MOST_CAUSES = 10
GAP = "…"

MOST_PLACES = 10_000
"""Frames of all the stacks that are kept."""


class _Constants(NamedTuple):
    """The texts that stand in a function.

    Args:
        whole: what may be written of each.
        parts: finds them in a text, longer ones first.
    """

    whole: Mapping[str, str]
    parts: re.Pattern[str]


class _Stack(NamedTuple):
    """What is the same of all errors that came by the same instructions.

    Args:
        frames: where each is, the outermost first.
        constants: of the innermost.
        codes: held on to, so that no other one gets the same id.
    """

    frames: tuple[str, ...]
    constants: _Constants
    codes: list[CodeType]


_stacks: dict[tuple[int, ...], _Stack] = {}
"""By the codes and instructions of all frames: to find the line of an instruction takes long."""


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
    described = _describe(error)
    described["causes"] = [_describe(cause) for cause in _causes(error)]
    return described


def as_text(described: dict[str, Any]) -> str:
    """What `describe_exception` found, on lines for people."""
    return "\ncaused by\n".join(
        "\n".join(map(printable, [f"{one['type']}: {one['message']}", *(f"  {frame}" for frame in one["stack"])]))
        for one in (described, *described["causes"])
    )


def _describe(error: BaseException) -> dict[str, Any]:
    stack = _stack(error.__traceback__)
    return {"type": _type_name(type(error)), "message": _message(error, stack.constants), "stack": stack.frames}


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _causes(error: BaseException) -> list[BaseException]:
    """What led to `error`, nearest first: causes, contexts that were not suppressed, and members of groups."""
    found = [error]
    queue = _behind(error)
    while queue and len(found) <= MOST_CAUSES:
        current = queue.pop(0)
        if not any(current is known for known in found):
            found.append(current)
            queue += _behind(current)
    return found[1:]


def _behind(error: BaseException) -> list[BaseException]:
    """What led to `error` directly."""
    found = [*error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    previous = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found if previous is None else [*found, previous]


def _message(error: BaseException, constants: _Constants) -> str:
    if isinstance(error, ApplicationError):
        return redact_text(error.message)
    try:
        text = str(error)[:LONGEST_TEXT]
    except Exception:  # noqa: BLE001 - an exception that cannot even be printed must still be logged
        return GAP
    whole = constants.whole.get(text)
    return redact_random(_constant_parts(text, constants.parts)) if whole is None else whole


def _constant_parts(text: str, constants: re.Pattern[str]) -> str:
    """`text` with all that is no constant replaced by "…"."""
    parts, end = [], 0
    for part in constants.finditer(text):
        parts += [GAP, part[0]] if part.start() > end else [part[0]]
        end = part.end()
    return "".join([*parts, GAP] if end < len(text) else parts)


@lru_cache(maxsize=1000)
def _constants(code: CodeType | None) -> _Constants:
    """Those of `code`; shorter ones than three characters match by chance."""
    constants = code.co_consts if code else ()
    texts = [text for text in constants if isinstance(text, str) and len(text.strip()) >= 3]
    parts = re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")
    return _Constants({text: redact_random(text) for text in texts}, parts)


def _stack(traceback: TracebackType | None) -> _Stack:
    """What is known of the way from `traceback` to where the error was raised."""
    way: list[int] = []
    frame = traceback
    while frame is not None:
        way.append(id(frame.tb_frame.f_code))
        way.append(frame.tb_lasti)
        frame = frame.tb_next
    known = _stacks.get(key := tuple(way))
    if known is None:
        if sum(map(len, _stacks)) + len(key) > 2 * MOST_PLACES:
            _stacks.clear()
        known = _stacks[key] = _look_up(traceback)
    return known


def _look_up(traceback: TracebackType | None) -> _Stack:
    codes, frames = [], []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        codes.append(code)
        frames.append(f"{code.co_filename}:{traceback.tb_lineno} in {code.co_qualname}")
        traceback = traceback.tb_next
    if len(frames) > MOST_FRAMES:
        half = MOST_FRAMES // 2
        frames[half:-half] = [f"{GAP} more frames"]  # Not how many: a recursion is the same however deep it went.
    return _Stack(tuple(frames), _constants(codes[-1] if codes else None), codes)
