"""Keep secrets out of what is written.

Two nets. Names: a field that is called like a secret loses its value. Shapes: text loses URL credentials and queries,
authorization values, `key=value` pairs of a telling name, and tokens that look random.
"""

import re
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

MASK = "***"
LONGEST_TEXT = 2_000
"""Characters of one text value that reach a log line."""

_SECRET_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|authorization|api[-_]?key|cookie|session|credential|dsn|private", re.IGNORECASE
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,;&]+)"""
_URL_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"<>]*@")
_URL_QUERY = re.compile(r"(?<=[\w/])\?[^\s'\"<>]+=[^\s'\"<>]*")
_AUTHORIZATION = re.compile(r"(\bauthorization['\"]?\s{0,3}[=:]\s{0,3}).*", re.IGNORECASE)
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest)\s+[^\s'\",;]+", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:passw|passphrase|pwd|secret|token|key|cookie|session|credential)\w{0,30}['\"]?\s{0,3}[=:]\s{0,3})" + _VALUE,
    re.IGNORECASE,
)
_PLAIN = frozenset({bool, int, float, type(None)})
_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"[\w+/=~-]{6,}")


def _mask_value(named: re.Match[str]) -> str:
    return named[1] + MASK


def _mask_scheme(scheme: re.Match[str]) -> str:
    return f"{scheme[1]} {MASK}"


def _mask_random(word: re.Match[str]) -> str:
    """Letters and digits mixed as few words mix them: passwords, keys, hashes and ids."""
    text = word[0]
    return MASK if re.search(r"[A-Za-z]", text) and re.search(r"\d", text) else text


def redact_text(text: str) -> str:
    """`text` without what looks like a secret, cut to `LONGEST_TEXT` characters."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    # To look for a character first costs next to nothing, and most texts have none of these.
    if "@" in text:
        text = _URL_CREDENTIALS.sub(MASK + "@", text)
    if "?" in text:
        text = _URL_QUERY.sub("?" + MASK, text)
    named = "=" in text or ":" in text
    if named:
        text = _AUTHORIZATION.sub(_mask_value, text)
    if " " in text or not text.isprintable():  # No other space is printable.
        text = _SCHEME.sub(_mask_scheme, text)
    return _NAMED.sub(_mask_value, text) if named else text


def redact_random(text: str) -> str:
    """`redact_text`, and without tokens that look random: for text that others wrote."""
    text = redact_text(text)
    return _WORD.sub(_mask_random, text) if _DIGIT.search(text) else text


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def redact_fields(fields: MutableMapping[str, Any]) -> None:
    """Leave in `fields` what may be written. Every log line comes here."""
    for name, value in fields.items():
        kind = type(value)
        if _is_secret(name):
            fields[name] = MASK
        elif kind is str:
            fields[name] = redact_text(value)
        elif kind not in _PLAIN:
            fields[name] = redact(value)


def redact(value: Any) -> Any:
    """What may be written of `value`, whatever it is."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        inner = {str(key): item for key, item in value.items()}
        redact_fields(inner)
        return inner
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    # Anything else is written as its text, which may hold what we would mask.
    return value if type(value) in _PLAIN else redact_text(str(value))
