"""Where log lines go. Whatever becomes of them, whoever logs does not fail."""

import io
import logging
from typing import TextIO

log = logging.getLogger(__name__)


class LogStream:
    """A text stream that takes every text.

    A full disk, or a reader that has gone, costs lines of the log and not the answer of the request that wrote them. Once
    lines are taken again, one of them tells how many are missing.

    Args:
        stream: the one behind it.
        readable: lines are for people, in the encoding of their terminal; otherwise they are JSON, which is UTF-8.
    """

    def __init__(self, stream: TextIO, *, readable: bool) -> None:
        self._stream = stream
        self._lost = 0
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if readable else "utf-8", errors="backslashreplace")

    def write(self, text: str) -> None:
        """Write whole lines."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # It is closed: a ValueError.
            self._lost += text.count("\n")
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            log.error("%d log lines were lost", lost)

    def flush(self) -> None:
        """Nothing is kept back."""
