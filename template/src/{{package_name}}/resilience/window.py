"""Count successes and failures of the last seconds."""

from collections import deque
from collections.abc import Callable
from math import floor


class OutcomeWindow:
    """Slots that together span `seconds`; what is older is forgotten slot by slot.

    Args:
        seconds: how far it looks back.
        clock: seconds that never jump.
        slots: how many there are.
    """

    __slots__ = ("_clock", "_failures", "_older", "_slot_end", "_slot_seconds", "_slots", "_successes")

    def __init__(self, seconds: float, clock: Callable[[], float], slots: int = 10) -> None:
        self._slots = slots
        self._slot_seconds = seconds / slots
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._older: deque[tuple[int, int]] = deque(maxlen=self._slots - 1)
        self._successes = self._failures = 0
        self._slot_end = self._clock() + self._slot_seconds

    def add_success(self) -> None:
        """Count a success; every call of a healthy service comes here."""
        if self._clock() >= self._slot_end:
            self._turn()
        self._successes += 1

    def add_failure(self) -> None:
        """Count a failure."""
        self.add(failures=1)

    def add(self, *, successes: int = 0, failures: int = 0) -> None:
        """Count several at once."""
        self._turn()
        self._successes += successes
        self._failures += failures

    def counts(self) -> tuple[int, int]:
        """All outcomes, and the failures among them."""
        self._turn()
        failures = self._failures + sum(failures for _, failures in self._older)
        return self._successes + failures + sum(successes for successes, _ in self._older), failures

    def _turn(self) -> None:
        """Begin a new slot for each that has passed; after a long silence all are empty."""
        passed = floor((self._clock() - self._slot_end) / self._slot_seconds) + 1
        if passed < 1:
            return
        for _ in range(min(passed, self._slots)):
            self._older.append((self._successes, self._failures))
            self._successes = self._failures = 0
        self._slot_end += passed * self._slot_seconds
