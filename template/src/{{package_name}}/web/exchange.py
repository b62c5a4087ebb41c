"""One request and its answer, as far as they have come."""

from collections.abc import Awaitable
from typing import Any

from starlette.types import Message, Scope, Send

from ..resilience.deadline import Deadline
from ..resilience.degradation import Degradation, ServiceLevel
from ..resilience.shared_timeout import Limit
from .request_id import HEADER

NOSNIFF = (b"x-content-type-options", b"nosniff")
"""So that no browser takes an answer for a page. Everything else about browsers is for whoever serves pages."""

SERVICE_LEVEL_HEADER = b"x-service-level"
"""Sent while not everything is on offer; its absence says that all is."""

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"})


class ActiveRequests:
    """How many requests are being served, in one app."""

    def __init__(self) -> None:
        self.count = 0


class Exchange:
    """What the pass around a request learns, to be read once it is over.

    Attributes:
        status: the HTTP status sent; 0 as long as none was.
        deadline: of the answer's start.
        complete: whether the answer was sent to its end.
        limit: what ends the wait for an answer.
    """

    __slots__ = (
        "_degradation",
        "_send",
        "complete",
        "deadline",
        "limit",
        "request_id",
        "scope",
        "status",
    )

    def __init__(
        self,
        scope: Scope,
        send: Send,
        request_id: str,
        deadline: Deadline,
        degradation: Degradation,
    ) -> None:
        self.scope = scope
        self.deadline = deadline
        self.request_id = request_id
        self.status = 0
        self.complete = False
        self.limit: Limit | None = None
        self._send = send
        self._degradation = degradation

    def send(self, message: Message) -> Awaitable[None]:
        """Send `message`, with our headers on the first one."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (HEADER, self.request_id.encode()), NOSNIFF]
            if self._degradation.level is not ServiceLevel.FULL:
                message["headers"].append((SERVICE_LEVEL_HEADER, self._degradation.level.value.encode()))
            # The deadline bounds the wait for an answer; how long a stream may flow is the endpoint's affair.
            if self.limit is not None:
                self.limit.lift()
                self.deadline.lift()
        elif kind == "http.response.body" and not message.get("more_body", False):
            self.complete = True
        return self._send(message)

    @property
    def method(self) -> str:
        """The method, or `other`: a client may invent methods, a metric's labels must not grow with them."""
        method: str = self.scope["method"]
        return method if method in KNOWN_METHODS else "other"

    @property
    def route(self) -> str:
        """The template of the matched route with all its prefixes, or `unmatched`."""
        # FastAPI keeps the full template of an included router's route here; tests/web pins that.
        context: Any = self.scope.get("fastapi", {}).get("effective_route_context")
        template = getattr(context, "path_format", None) or getattr(self.scope.get("route"), "path", None)
        return template or "unmatched"
