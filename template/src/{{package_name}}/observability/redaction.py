"""Keep secrets out of what is written.

Two nets. Names: a field that is called like a secret loses its value. Shapes: text loses URL credentials and queries,
authorization values, `key=value` pairs of a telling name, and tokens that look random.
"""

import math
import re
from typing import Any

MASK = "***"
LONGEST_TEXT = 2_000
"""Characters of one text value that reach a log line."""

_SECRET_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|authorization|api[-_]?key|cookie|session|credential|dsn|private", re.IGNORECASE
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,;&]+)"""
_SHAPES = (
    (re.compile(r"(?<=://)[^\s'\"<>]*@"), MASK + "@"),
    (re.compile(r"(?<=[\w/])\?[^\s'\"<>]+=[^\s'\"<>]*"), "?" + MASK),
    (re.compile(r"(\bauthorization['\"]?\s{0,3}[=:]\s{0,3}).*", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic|Digest)\s+[^\s'\",;]+", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(
            r"((?:passw|passphrase|pwd|secret|token|key|cookie|session|credential)\w{0,30}['\"]?\s{0,3}[=:]\s{0,3})"
            + _VALUE,
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_WORD = re.compile(r"[\w+/=~-]{6,}")


def _mask_random(word: re.Match[str]) -> str:
    """Letters and digits mixed as few words mix them: passwords, keys, hashes and ids."""
    text = word[0]
    return MASK if re.search(r"[A-Za-z]", text) and re.search(r"\d", text) else text


def redact_text(text: str) -> str:
    """`text` without what looks like a secret, cut to `LONGEST_TEXT` characters."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def redact_random(text: str) -> str:
    """`redact_text`, and without tokens that look random: for text that others wrote."""
    return _WORD.sub(_mask_random, redact_text(text))


def redact(name: str, value: Any) -> Any:
    """The value of the field `name` as it may be written."""
    if _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(name, item) for item in value]
    # Anything else is written as its text, which may hold what we would mask.
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return redact_text(str(value))
