"""The probes, and the report for people."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from ..observability.error_rates import ErrorRates
from ..resilience.breaker import CircuitBreaker, CircuitState
from ..resilience.degradation import Degradation, ServiceLevel
from .checks import Check, CheckResult
from .lifecycle import Lifecycle

router = APIRouter(tags=["health"])


class ProbeReport(BaseModel):
    """The answer to a probe."""

    status: Literal["ok", "unavailable"]
    reasons: list[str] = Field(default_factory=list, description="What is missing, if anything is.")


class CheckReport(BaseModel):
    """What is known of one dependency."""

    status: Literal["healthy", "unhealthy"]
    duration_ms: float = Field(description="Milliseconds the last check took.")
    error: str | None = Field(default=None, description="The class of the failure.")


class BreakerReport(BaseModel):
    """The state of one circuit breaker."""

    state: CircuitState
    failure_count: int = Field(description="Failures in a row, or in the last seconds, as its upstream declares.")


class ErrorRatesReport(BaseModel):
    """Answers from 500 on as a share of all requests to this process, probes excepted; null without any."""

    last_hour: float | None = None
    last_day: float | None = None
    retained: float | None = Field(default=None, description="Since the start, or in the days of the retention.")


class HealthReport(BaseModel):
    """The state of this process and of what it depends on."""

    status: Literal["healthy", "degraded", "unhealthy"]
    service_level: ServiceLevel
    checks: dict[str, CheckReport]
    circuit_breakers: dict[str, BreakerReport]
    error_rates: ErrorRatesReport


class Health:
    """What the routes need to know.

    Args:
        lifecycle: of this process.
        checks: of everything without which there is nothing to serve.
        breakers: of the upstreams; those of the features are added.
        degradation: knows the level.
        ready_requires: names of checks without which this replica takes no traffic.
        error_rates: knows which share of requests failed.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        checks: list[Check],
        breakers: list[CircuitBreaker],
        degradation: Degradation,
        ready_requires: frozenset[str],
        error_rates: ErrorRates,
    ) -> None:
        self.lifecycle = lifecycle
        self._checks = checks
        self._breakers = [*breakers, *degradation.breakers.values()]
        self._degradation = degradation
        self._ready_requires = ready_requires
        self._error_rates = error_rates

    async def not_ready_because(self) -> list[str]:
        """Why this replica should get no traffic; empty if it should."""
        if self.lifecycle.draining:
            return ["draining"]
        if not self.lifecycle.started:
            return ["starting"]
        results = await self._run([check for check in self._checks if check.name in self._ready_requires])
        return [name for name, result in results.items() if not result.healthy]

    async def report(self) -> HealthReport:
        """The whole report. A database that does not answer leaves nothing to serve."""
        results = await self._run(self._checks)
        checks = {
            name: CheckReport(
                status="healthy" if result.healthy else "unhealthy",
                duration_ms=round(result.duration * 1000, 3),
                error=result.error,
            )
            for name, result in results.items()
        }
        breakers = {one.name: BreakerReport(state=one.state, failure_count=one.failure_count) for one in self._breakers}
        level = self._degradation.level
        return HealthReport(
            status=_overall(results, self._breakers, level),
            service_level=level,
            checks=checks,
            circuit_breakers=breakers,
            error_rates=ErrorRatesReport(**self._error_rates.rates()),
        )

    async def _run(self, checks: list[Check]) -> dict[str, CheckResult]:
        results = await asyncio.gather(*(check.run() for check in checks))
        return {check.name: result for check, result in zip(checks, results, strict=True)}


def _overall(
    results: Mapping[str, CheckResult], breakers: Iterable[CircuitBreaker], level: ServiceLevel
) -> Literal["healthy", "degraded", "unhealthy"]:
    if not all(result.healthy for result in results.values()):
        return "unhealthy"
    well = level is ServiceLevel.FULL and all(one.state is CircuitState.CLOSED for one in breakers)
    return "healthy" if well else "degraded"


# Async, here and wherever requests get something: a function that is not takes one of the few threads, and probes must
# answer while all of them are taken.
async def _health(request: Request) -> Health:
    health: Health = request.state.health
    return health


HealthDependency = Annotated[Health, Depends(_health)]


@router.get("/livez")
async def livez() -> ProbeReport:
    """The process runs and its event loop turns; says nothing of dependencies, or a restart would follow their fall."""
    return ProbeReport(status="ok")


@router.get("/readyz", responses={503: {"model": ProbeReport, "description": "Send no traffic."}})
async def readyz(health: HealthDependency, response: Response) -> ProbeReport:
    """Whether this replica should get traffic."""
    return _probe(response, await health.not_ready_because())


@router.get("/startupz", responses={503: {"model": ProbeReport, "description": "Not started yet."}})
async def startupz(health: HealthDependency, response: Response) -> ProbeReport:
    """Whether the start is over: the database has answered once and its tables are there."""
    return _probe(response, [] if health.lifecycle.started else ["starting"])


@router.get("/health", responses={503: {"model": HealthReport, "description": "Unhealthy."}})
async def health_report(health: HealthDependency, response: Response) -> HealthReport:
    """The state of everything, for people and dashboards."""
    report = await health.report()
    if report.status == "unhealthy":
        response.status_code = 503
    return report


def _probe(response: Response, reasons: list[str]) -> ProbeReport:
    if not reasons:
        return ProbeReport(status="ok")
    response.status_code = 503
    return ProbeReport(status="unavailable", reasons=reasons)
