"""One line for every request; a warning when it was slow."""

from collections.abc import Sequence
from typing import Any

from ..observability.logs import write_lines
from .finished import FinishedRequest

SLOW_SECONDS = 1.0
"""Requests that take longer are logged as a warning."""


def log_access(requests: Sequence[FinishedRequest]) -> None:
    """Write the access lines."""
    write_lines(__name__, map(_line, requests))


def _line(request: FinishedRequest) -> tuple[str, str, dict[str, Any]]:
    fields = {
        "_at": request.ended_at,
        "request_id": request.request_id,
        "method": request.method,
        "path": request.path,
        "route": request.route,
        "status": request.status,
        "complete": request.complete,
        "duration_ms": round(request.duration * 1000, 3),
    }
    if request.trace_id is not None:
        fields["trace_id"] = request.trace_id
    if request.duration > SLOW_SECONDS:
        return "warning", "slow request", fields
    return "info", "request", fields
