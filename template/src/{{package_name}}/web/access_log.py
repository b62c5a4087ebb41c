"""One line for every request; a warning when it was slow."""

from ..observability.logs import get_logger
from .exchange import Exchange

SLOW_SECONDS = 1.0
"""Requests that take longer are logged as a warning."""

LONGEST_PATH = 500

log = get_logger(__name__)


def log_access(exchange: Exchange) -> None:
    """Write the access line. The query stays out: it may hold tokens."""
    slow = exchange.duration > SLOW_SECONDS
    write = log.warning if slow else log.info
    write(
        "slow request" if slow else "request",
        method=exchange.method,
        path=exchange.scope["path"][:LONGEST_PATH],
        route=exchange.route,
        status=exchange.status,
        complete=exchange.complete,
        duration_ms=round(exchange.duration * 1000, 3),
    )
