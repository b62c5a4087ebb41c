"""The trace that a request is a part of, and what its span may tell.

The spans are FastAPI's own, by OpenTelemetry, and there are none unless the environment asks for them: docs/tracing.md.
"""

import re

from opentelemetry import trace
from starlette.types import Scope

from .redaction import MASK, redact_text

HEADER = b"traceparent"

ACTIVE = "fastapi.telemetry"
"""FastAPI puts this into the scope of a request that it measures, around everything of ours."""

_FIRST_VERSION_LENGTH = 55
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def join_trace(scope: Scope, offered: bytes | None) -> str | None:
    """The `traceparent` of a request: of its span if it has one, or the one offered if it is valid.

    A span begins with the whole path and the query of its request. Both are written over here, long before it ends and
    is exported.
    """
    span = trace.get_current_span()
    context = span.get_span_context()
    if not context.is_valid:
        return _valid(offered) if offered is not None else None
    if scope["type"] == "http":
        span.set_attribute("url.path", redact_text(scope["path"]))
        if scope["query_string"]:
            span.set_attribute("url.query", MASK)
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _valid(offered: bytes) -> str | None:
    """`offered` as the version that we know, if W3C's Trace Context allows to read it so.

    A later version may add parts at the end; of version 00 there are none.
    """
    later = offered[_FIRST_VERSION_LENGTH:]
    if not _TRACEPARENT.match(offered) or (later and (offered.startswith(b"00") or not later.startswith(b"-"))):
        return None
    return "00" + offered[2:_FIRST_VERSION_LENGTH].decode("ascii")
