"""Prometheus metrics in a registry of this app's own, so that two apps in one process do not mix."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from .error_reports import ErrorReport

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; the last one is the default request deadline."""


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
        self._requests = Histogram(
            "http_server_request_duration_seconds",
            "Time from the request's arrival to the end of its answer.",
            ["method", "route", "status"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._errors = Counter(
            "application_errors_total",
            "Errors that were handled, by class and classification.",
            ["error_type", "category", "severity"],
            registry=self.registry,
        )
        self._error_handling = Histogram(
            "error_handling_duration_seconds",
            "Time spent on classifying and logging an error.",
            ["error_type"],
            registry=self.registry,
        )
        # Looking a child up by its labels costs four times what observing it does.
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe_request(self, request: FinishedRequest) -> None:
        """Count one request that is over."""
        key = (request.method, request.route, request.status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(*key)
        child.observe(request.duration)

    def observe_error(self, report: ErrorReport) -> None:
        """Count one handled error."""
        error_type = type(report.classified.error).__name__
        self._errors.labels(error_type, report.classified.category.value, report.classified.severity.value).inc()
        self._error_handling.labels(error_type).observe(report.duration)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
