"""A circuit breaker that is one of many: each replica of the service has its own, and together they act as one.

A replica decides by what it knows, and never waits. Some twenty times a second it reports what it has seen, and adopts
what it is told (`fleet/sync.py`); what follows from the reports of all is decided in one place (`fleet/fleet.lua`).

- The fleet is closed or open, and each change has a number. Reports about another number than the present one decide
  nothing, so lost, late and repeated ones do no harm. Whoever knows a higher number than the other side teaches it:
  that is how a memory that was lost comes back.
- Closed: the fleet opens when failures since the last success anywhere, or the share of failures, reach what the policy
  says, and come from two replicas or more. A replica that trips all the same is open alone, by the rules for one.
- Open: from `due` on, one replica at a time has the lease, and only it lets a trial call through. It hands over the
  successes counted so far, so `success_threshold` holds for the fleet.
- Unheard: as long as nobody answers (`shared` is false), this is a plain breaker.

Times are sent as seconds from now, so that clocks need not agree.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .breaker import CLOSED, HALF_OPEN, OPEN, TRIAL_SECONDS, CircuitBreaker, CircuitState

MOST_FAILURES = 100
"""How many of the last failures are reported; a threshold may be higher, for a replica that counts for itself."""

BEGIN_SECONDS = 0.2
"""How long after its report a replica that was given the lease may begin a trial: some periods, to have no gap."""


class Report(NamedTuple):
    """What one breaker tells the others; `epoch` and the time `at` are its own, and go nowhere."""

    epoch: int
    at: float
    said: dict[str, Any]


class SharedBreaker(CircuitBreaker):
    """A `CircuitBreaker` that reports to others and adopts what they have found.

    Attributes:
        shared: whether it is in touch with the others.
    """

    shared = False
    _version, _fleet_open = 0, False
    """The last change of the fleet that was adopted here."""
    _settled = 0
    """The epoch in which it was: a later one in the same state is news."""
    _try_until, _trial_successes = 0.0, 0
    """The lease: how long a trial may begin, and what trials elsewhere have shown."""
    _reported_rejections = 0
    _succeeded_at: float | None = None
    _failed_at: tuple[float, ...] = ()

    def refuses_for(self) -> float:
        """Seconds for which calls are refused, as far as is known: who may try next is decided elsewhere."""
        seconds = super().refuses_for()
        if seconds or self.state is CLOSED or not (self.shared and self._fleet_open):
            return seconds
        return 0.0 if self._clock() < self._try_until else TRIAL_SECONDS

    def succeeded(self, epoch: int) -> None:
        """The call admitted in `epoch` has succeeded."""
        if epoch == self.epoch:
            self._succeeded_at = self._clock()
        super().succeeded(epoch)

    def report(self) -> Report:
        """What the others should know; all durations are in seconds."""
        with self._lock:
            said = self._findings(now := self._clock())
            self._reported_rejections = self.rejections
            if not said["busy"]:
                self._try_until = 0.0  # The answer may be that another one has the lease: nothing begins before it.
            return Report(self.epoch, now, said)

    def _findings(self, now: float) -> dict[str, Any]:
        since = self._succeeded_at
        said = {
            "version": self._version,
            "open": self._fleet_open,
            "closed": self._fleet_open and self.state is CLOSED,
            "reopened": self._fleet_open and self.state is OPEN and self.epoch != self._settled,
            "due_in": super().refuses_for() if self.state is OPEN else 0.0,
            "busy": self._probing or self.rejections != self._reported_rejections,
            "successes": self._storage.success_counter if self.state is HALF_OPEN else 0,
            "failed_ago": [now - at for at in self._failed_at if since is None or at > since],
            "recovery": self.recovery_timeout,
        }
        if since is not None:
            said["succeeded_ago"] = now - since
        if self._window is None:
            return said | {"total": 0, "failed": 0, "threshold": self._machine.fail_max, "minimum": 0, "ratio": 0.0}
        total, failed = self._window.counts()
        ratio, minimum = self._failure_ratio, self._minimum_calls
        return said | {"total": total, "failed": failed, "threshold": 1, "minimum": minimum, "ratio": ratio}

    def adopt(self, report: Report, answer: Mapping[str, Any]) -> None:
        """Take over what the fleet has made of `report`; if something has happened here since, the next one tells.

        Args:
            report: as given by `report`.
            answer: `version`, `open`, `due_in` in seconds, `leased`, `successes`.
        """
        with self._changing():
            self.shared = True
            if self.epoch != report.epoch:
                return
            if (self._version, self._fleet_open) != (answer["version"], answer["open"]):
                self._version, self._fleet_open = answer["version"], answer["open"]
                if self._fleet_open:
                    self._machine.open()
                    self.trial_at = self._clock() + answer["due_in"]
                elif self.state is not CLOSED:
                    self._machine.close()
                self._settled = self.epoch
            self._try_until = 0.0
            if answer["leased"]:
                self._try_until = report.at + BEGIN_SECONDS
                self._trial_successes = answer["successes"]
                self._count_trials()

    def leave(self) -> None:
        """Nobody answers: decide alone."""
        self.shared = False
        self._try_until = 0.0

    def _count_trials(self) -> None:
        """Count the successes of others as our own."""
        while self.state is HALF_OPEN and self._storage.success_counter < self._trial_successes:
            self._storage.increment_success_counter()

    def _note_change(self, state: CircuitState) -> None:
        super()._note_change(state)
        if state is CLOSED:
            self._failed_at = ()
        elif state is OPEN:
            self._trial_successes = 0
        self._count_trials()

    def _report_success(self) -> None:
        self._succeeded_at = self._clock()  # Also that of an exception which shows the other side well.
        super()._report_success()

    def _report_failure(self) -> None:
        if self._window is None:
            self._failed_at = (*self._failed_at, self._clock())[-MOST_FAILURES:]
        super()._report_failure()
