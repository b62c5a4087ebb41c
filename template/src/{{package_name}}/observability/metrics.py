"""Prometheus metrics in a registry of this app's own, so that two apps in one process do not mix."""

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from ..resilience.breaker import CircuitState
from ..resilience.degradation import ServiceLevel
from ..resilience.events import (
    SUCCESS,
    AttemptFailed,
    BreakerAdded,
    BreakerChanged,
    CallFinished,
    FallbackUsed,
    LevelChanged,
    PoolOpened,
    RetryBudgetExhausted,
    Subscriptions,
)
from .error_reports import ErrorReport
from .tallies import CounterTally, HistogramTally

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; the last one is the default request deadline."""

HANDLING_BUCKETS = (0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1)
"""Seconds; handling an error is a matter of microseconds, unless the log is slow to take it."""


class FinishedRequest(Protocol):
    """What is counted of a request; `route` is a template, never a path."""

    @property
    def method(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def duration(self) -> float: ...


class Metrics:
    """The metrics of one app.

    Args:
        distribution: the installed distribution whose version `build_info` tells.
        active_requests: reads how many requests are being served.
    """

    def __init__(self, distribution: str, *, active_requests: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Gauge("build_info", "The running version.", ["version", "python"], registry=self.registry).labels(
            version(distribution), platform.python_version()
        ).set(1)
        Gauge("http_server_active_requests", "Requests being served.", registry=self.registry).set_function(
            active_requests
        )
        self._requests = HistogramTally(
            "http_server_request_duration_seconds",
            "Time from the request's arrival to the end of its answer.",
            ["method", "route", "status"],
            DURATION_BUCKETS,
            self.registry,
        )
        self._errors = CounterTally(
            "application_errors_total",
            "Errors that were handled, by class and classification.",
            ["error_type", "category", "severity"],
            self.registry,
        )
        self._error_handling = HistogramTally(
            "error_handling_duration_seconds",
            "Time spent on classifying and logging an error.",
            ["error_type"],
            HANDLING_BUCKETS,
            self.registry,
        )
        self._calls = HistogramTally(
            "upstream_request_duration_seconds",
            "Time of a call to an upstream, with its retries.",
            ["upstream", "outcome"],
            DURATION_BUCKETS,
            self.registry,
        )
        self._attempts = CounterTally(
            "upstream_attempts_total", "Attempts to call an upstream.", ["upstream", "outcome"], self.registry
        )
        self._budgets = Counter(
            "upstream_retry_budget_exhausted_total",
            "Retries that were wanted and not in the budget.",
            ["upstream"],
            registry=self.registry,
        )
        self._fallbacks = Counter(
            "fallbacks_total", "Substitutes given in the place of an answer.", ["name", "kind"], registry=self.registry
        )
        self._breaker_state = Gauge(
            "circuit_breaker_state", "1 for the present state.", ["name", "state"], registry=self.registry
        )
        self._breaker_transitions = Counter(
            "circuit_breaker_transitions_total", "Changes of state.", ["name", "to"], registry=self.registry
        )
        self._breaker_rejections = CounterTally(
            "circuit_breaker_rejections_total", "Calls refused by an open circuit.", ["name"], self.registry
        )
        self._pool = Gauge("db_pool_connections", "Connections to the database.", ["state"], registry=self.registry)
        self._service_level = Gauge("service_level", "1 for the present level.", ["level"], registry=self.registry)
        self._set_level(ServiceLevel.FULL.value)

    def observe_requests(self, requests: Iterable[FinishedRequest]) -> None:
        """Count requests that are over."""
        for request in requests:
            self._requests.of(request.method, request.route, request.status).observe(request.duration)

    def observe_error(self, report: ErrorReport) -> None:
        """Count one handled error."""
        error_type = type(report.classified.error).__name__
        self._errors.counts[error_type, report.classified.category.value, report.classified.severity.value] += 1
        self._error_handling.of(error_type).observe(report.duration)

    def resilience(self) -> Subscriptions:
        """What to count of the resilience engine."""
        return {
            CallFinished: self._observe_call,
            AttemptFailed: self._observe_attempt,
            RetryBudgetExhausted: lambda event: self._budgets.labels(event.name).inc(),
            FallbackUsed: lambda event: self._fallbacks.labels(event.name, event.kind).inc(),
            BreakerAdded: self._watch_breaker,
            BreakerChanged: self._observe_breaker,
            LevelChanged: lambda event: self._set_level(event.new),
            PoolOpened: self._watch_pool,
        }

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _observe_call(self, event: CallFinished) -> None:
        name, outcome, duration = event
        self._calls.of(name, outcome).observe(duration)
        if outcome == SUCCESS:
            self._attempts.counts[name, SUCCESS] += 1

    def _observe_attempt(self, event: AttemptFailed) -> None:
        self._attempts.counts[event.name, event.outcome] += 1

    def _watch_breaker(self, event: BreakerAdded) -> None:
        self._breaker_rejections.readers[event.name,] = event.rejections
        for state in CircuitState:
            self._breaker_transitions.labels(event.name, state.value)  # At zero, or the first change would not show.
        self._set_breaker_state(event.name, CircuitState.CLOSED.value)

    def _observe_breaker(self, event: BreakerChanged) -> None:
        self._breaker_transitions.labels(event.name, event.new).inc()
        self._set_breaker_state(event.name, event.new)

    def _watch_pool(self, event: PoolOpened) -> None:
        for state, read in event.states.items():
            self._pool.labels(state).set_function(read)

    def _set_breaker_state(self, name: str, present: str) -> None:
        for state in CircuitState:
            self._breaker_state.labels(name, state.value).set(state.value == present)

    def _set_level(self, present: str) -> None:
        for level in ServiceLevel:
            self._service_level.labels(level.value).set(level.value == present)
