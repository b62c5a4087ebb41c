"""The log lines of a test, as objects."""

import errno
import io
import json
import os
import time
from typing import Any, Self

from tests.subject import configure_logging


class LogLines(io.StringIO):
    """A stream that logs are written to, and that a test reads.

    Attributes:
        full: no line is taken while this is set, as by a disk without space.
    """

    full = False

    @classmethod
    def of_the_process(cls) -> Self:
        """A stream that all logs go to from now on."""
        stream = cls()
        configure_logging("INFO", stream=stream)
        return stream

    def write(self, text: str) -> int:
        """Take a text."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)

    def clear(self) -> None:
        """Forget all lines."""
        self.seek(0)
        self.truncate()

    def all(self) -> list[dict[str, Any]]:
        """Every line so far."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of_level(self, level: str) -> list[dict[str, Any]]:
        """The lines of one level."""
        return [line for line in self.all() if line["level"] == level]

    def access(self, count: int = 1) -> list[dict[str, Any]]:
        """The access lines, once there are `count`: the last one is written after the client has its answer."""
        until = time.monotonic() + 5
        while len(lines := [line for line in self.all() if "duration_ms" in line and "route" in line]) < count:
            assert time.monotonic() < until, f"{len(lines)} access lines instead of {count}"
            time.sleep(0.005)
        return lines
