"""What every log line of a request has in common."""

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""Of the trace that the request is a part of, as W3C's header of that name writes it; see tracing.py."""


def trace_id_of(parent: str) -> str:
    """The part of a `traceparent` that the whole trace has in common."""
    return parent[3:35]
