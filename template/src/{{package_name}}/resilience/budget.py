"""Limit retries to a share of the traffic, so that they cannot keep a failing upstream down.

Three attempts for every request are harmless while one request in a hundred fails, and triple the load when all do. A
budget grows with the calls and shrinks with the retries (Google, "Site Reliability Engineering", chapter 22).
"""

import time
from collections import deque
from collections.abc import Callable

BURST = 10.0
"""Retries that a long quiet time can save up."""


class RetryBudget:
    """Each call earns `ratio` of a retry; a service with little traffic has `minimum` retries in `window` at least.

    With a ratio of 0 there are none.

    Args:
        ratio: retries for each call.
        minimum: retries in `window` that need not be earned.
        window: seconds.
        clock: seconds that never jump.

    Attributes:
        calls: begun since the last retry was asked for; whoever begins one adds it.
    """

    def __init__(
        self,
        ratio: float = 0.1,
        minimum: int = 3,
        window: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ratio = ratio
        self._window = window
        self._clock = clock
        self.calls = 0
        self._earned = 0.0
        self._unearned: deque[float] = deque(maxlen=minimum if ratio else 0)

    def spend(self) -> bool:
        """Whether there may be a retry now; if so, it is paid."""
        self._earned = min(BURST, self._earned + self._ratio * self.calls)
        self.calls = 0
        if self._earned > 1 - 1e-9:  # Tenths do not add up to one exactly.
            self._earned -= 1
            return True
        now = self._clock()
        if self._unearned.maxlen and (
            len(self._unearned) < self._unearned.maxlen or now - self._unearned[0] >= self._window
        ):
            self._unearned.append(now)
            return True
        return False
