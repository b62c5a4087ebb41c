"""Count successes and failures of the last seconds."""

from collections.abc import Callable

SLOTS = 10


class OutcomeWindow:
    """A ring of `SLOTS` slots that together span `seconds`; what is older is forgotten slot by slot.

    Args:
        seconds: how far it looks back.
        clock: seconds that never jump.
    """

    __slots__ = ("_clock", "_failures", "_slot", "_slot_seconds", "_totals")

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._slot_seconds = seconds / SLOTS
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._totals = [0] * SLOTS
        self._failures = [0] * SLOTS
        self._slot = int(self._clock() / self._slot_seconds)

    def add(self, *, failed: bool) -> None:
        """Count one outcome."""
        index = self._turn()
        self._totals[index] += 1
        if failed:
            self._failures[index] += 1

    def counts(self) -> tuple[int, int]:
        """All outcomes, and the failures among them."""
        self._turn()
        return sum(self._totals), sum(self._failures)

    def _turn(self) -> int:
        slot = int(self._clock() / self._slot_seconds)
        if slot != self._slot:
            for old in range(self._slot + 1, min(slot, self._slot + SLOTS) + 1):
                self._totals[old % SLOTS] = self._failures[old % SLOTS] = 0
            self._slot = slot
        return slot % SLOTS
