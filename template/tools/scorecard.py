"""What was seen under one fault, what the service had promised, and both as lines to read."""

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tools.load import FRESH, STALE, Answer
from tools.subject import BURST, Policy

SLACK = 0.5
"""Seconds that a busy machine may add."""

LEAST_RETRIES = 3
"""Retries in ten seconds that need not be earned (resilience/budget.py)."""

HEADINGS = (
    f"{'fault':<12}{'':<9}{'requests':>8}{'fresh':>7}{'stale':>7}  {'errors':<22}"
    f"{'p50 s':>7}{'worst s':>9}{'attempts':>10}{'recovered s':>13}  promises"
)


@dataclass(frozen=True)
class Score:
    """What was seen under one fault.

    Args:
        fault: its name.
        answers: one for each request.
        attempts: requests that reached the upstream because of them.
        recovered: seconds from the end of the fault to a fresh answer; None for not at all.
        lasted: seconds from the first request to the last answer.
    """

    fault: str
    answers: list[Answer]
    attempts: int
    recovered: float | None
    lasted: float

    def line(self, who: str, verdict: str = "") -> str:
        """The score in one line."""
        counts = Counter(answer.outcome for answer in self.answers)
        errors = ", ".join(
            f"{count} × {outcome}" for outcome, count in sorted(counts.items()) if outcome not in (FRESH, STALE)
        )
        seconds = [answer.seconds for answer in self.answers]
        recovered = "never" if self.recovered is None else f"{self.recovered:.1f}"
        return (
            f"{self.fault if verdict else '':<12}{who:<9}{len(self.answers):>8}{counts[FRESH]:>7}{counts[STALE]:>7}"
            f"  {errors or '-':<22}{statistics.median(seconds):>7.2f}{max(seconds):>9.2f}"
            f"{self.attempts / len(self.answers):>10.2f}{recovered:>13}  {verdict}"
        ).rstrip()


@dataclass(frozen=True)
class Promises:
    """What a service says of itself, in its policy and in its OpenAPI document.

    Args:
        within: seconds in which a client has its answer.
        statuses: of errors, as documented.
        retry_ratio: retries as a share of the requests, beyond a number that is always allowed.
        max_retries: of one request; None where the policy counts no attempts.
        recovery: seconds from the end of a fault to a fresh answer.
    """

    within: float
    statuses: frozenset[str]
    retry_ratio: float
    max_retries: int | None
    recovery: float

    @classmethod
    def of(cls, policy: Policy, statuses: frozenset[str], within: float | None = None) -> "Promises":
        """What follows from a complete policy; `within` replaces its total timeout.

        A 500 may be documented and is no promise all the same: it is no way to tell of somebody else's failure.
        """
        total = policy.total_timeout or 0.0
        pause = (policy.recovery_timeout or 0.0) if policy.breaker_enabled else 0.0
        errors = frozenset(status for status in statuses if status >= "400" and status != "500")
        return cls(within or total, errors, policy.retry_budget or 0.0, policy.max_retries, pause + total)

    def most_attempts(self, requests: int, seconds: float) -> float:
        """What may reach the upstream because of that many requests in that many seconds."""
        unearned = BURST + LEAST_RETRIES * (1 + seconds // 10)
        retries = requests * self.retry_ratio + unearned if self.retry_ratio else 0.0
        return requests + (retries if self.max_retries is None else min(retries, requests * self.max_retries))

    def broken(self, score: Score) -> Iterator[str]:
        """Each promise that the score breaks, in a sentence."""
        worst = max(answer.seconds for answer in score.answers)
        if worst > self.within + SLACK:
            yield f"{score.fault}: a client waited {worst:.2f} s; promised are {self.within:g} s"
        most = self.most_attempts(len(score.answers), score.lasted)
        if score.attempts > most:
            yield f"{score.fault}: {score.attempts} attempts reached the upstream; promised are at most {most:.0f}"
        if unknown := {answer.outcome for answer in score.answers} - self.statuses - {FRESH, STALE}:
            yield f"{score.fault}: clients got {', '.join(sorted(unknown))}, which is not documented"
        if score.recovered is None or score.recovered > self.recovery + SLACK:
            yield f"{score.fault}: no fresh answer within {self.recovery:g} s of its end"

    def lines(self) -> Iterator[str]:
        """The promises in words."""
        yield f"an answer within {self.within:g} s, errors as documented ({', '.join(sorted(self.statuses))}),"
        yield f"retries for {self.retry_ratio:.0%} of the requests (and {BURST + LEAST_RETRIES:.0f} to begin with),"
        yield f"fresh answers again {self.recovery:g} s after the fault at the latest"
