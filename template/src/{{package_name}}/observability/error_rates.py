"""Which share of the requests failed of late: in memory, of this process, for `/health`."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from ..resilience.window import OutcomeWindow

HOUR, DAY = 3600.0, 86_400.0


class FinishedRequest(Protocol):
    """What is counted of a request; `route` is a template, never a path."""

    @property
    def route(self) -> str: ...
    @property
    def status(self) -> int: ...


class ErrorRates:
    """Answers from 500 on as a share of all answers.

    Args:
        retention_days: how far the longest rate looks back.
        ignored_routes: not counted, such as probes: they are no traffic, and say of themselves that they are 503.
        clock: seconds that never jump.
    """

    def __init__(
        self,
        retention_days: int,
        *,
        ignored_routes: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ignored_routes = frozenset(ignored_routes)
        self._windows = {
            "last_hour": OutcomeWindow(HOUR, clock, slots=60),
            "last_day": OutcomeWindow(DAY, clock, slots=96),
            "retained": OutcomeWindow(retention_days * DAY, clock, slots=96),
        }

    def observe_requests(self, requests: Iterable[FinishedRequest]) -> None:
        """Count requests that are over; one without any answer has failed."""
        failed = [
            request.status >= 500 or not request.status
            for request in requests
            if request.route not in self._ignored_routes
        ]
        for window in self._windows.values():
            window.add(successes=failed.count(False), failures=failed.count(True))

    def rates(self) -> dict[str, float | None]:
        """The share of failures in the last hour, in the last day and in all days retained; None without traffic."""
        counts = {name: window.counts() for name, window in self._windows.items()}
        return {name: failures / total if total else None for name, (total, failures) in counts.items()}
