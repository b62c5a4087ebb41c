"""One line for every request; a warning when it was slow."""

from collections.abc import Sequence
from typing import Any

from ..observability.logs import write_lines
from .exchange import Exchange

SLOW_SECONDS = 1.0
"""Requests that take longer are logged as a warning."""

LONGEST_PATH = 500


def log_access(exchanges: Sequence[Exchange]) -> None:
    """Write the access lines. The query stays out: it may hold tokens."""
    write_lines(__name__, map(_line, exchanges))


def _line(exchange: Exchange) -> tuple[str, str, dict[str, Any]]:
    fields = {
        "at": exchange.ended_at,
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.scope["path"][:LONGEST_PATH],
        "route": exchange.route,
        "status": exchange.status,
        "complete": exchange.complete,
        "duration_ms": round(exchange.duration * 1000, 3),
    }
    if exchange.duration > SLOW_SECONDS:
        return "warning", "slow request", fields
    return "info", "request", fields
