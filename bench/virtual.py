"""An event loop whose time jumps to the next timer: minutes of waiting take as long as what happens in them."""

import asyncio
import selectors
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Real in everything but time, which starts at 0 and passes only when there is nothing to do.

    Nothing may come from outside: a loop that waits for a socket or a thread would wait for ever, and is ended instead.
    """

    def __init__(self) -> None:
        """Begin at 0."""
        self._now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        """Seconds."""
        return self._now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Jump(selectors.DefaultSelector):
    """Lets the time pass that it is asked to wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self._loop.pass_(max(0.0, timeout))
        return super().select(0)
