"""One line for every request; a warning when it was slow."""

from collections.abc import Sequence
from typing import Any

from ..observability.lines import Line
from ..observability.logs import write_lines
from ..observability.redaction import redact_text
from .finished import FinishedRequest

SLOW_SECONDS = 1.0
"""Requests that take longer are logged as a warning."""


def log_access(requests: Sequence[FinishedRequest]) -> None:
    """Write the access lines."""
    write_lines(__name__, map(_line, requests))


def _line(request: FinishedRequest) -> Line:
    slow = request.duration > SLOW_SECONDS
    fields: dict[str, Any] = {
        "event": "slow request" if slow else "request",
        "request_id": request.request_id,
        "method": request.method,
        "path": redact_text(request.path),  # All else is ours, or was looked through when it came.
        "route": request.route,
        "status": request.status,
        "complete": request.complete,
        "duration_ms": round(request.duration * 1_000_000) / 1000,
    }
    if request.trace_id is not None:
        fields["trace_id"] = request.trace_id
    return "warning" if slow else "info", request.ended_at, fields
