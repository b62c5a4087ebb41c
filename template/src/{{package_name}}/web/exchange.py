"""One request and its answer, as far as they have come."""

import asyncio
from typing import Any

from starlette.types import Message, Scope, Send

from ..resilience.deadline import Deadline
from ..resilience.degradation import Degradation, ServiceLevel

SERVICE_LEVEL_HEADER = b"x-service-level"
"""Sent while not everything is on offer; its absence says that all is."""

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"})


class ActiveRequests:
    """How many requests are being served, in one app."""

    def __init__(self) -> None:
        self.count = 0


class Exchange:
    """What the pass around a request learns, for the observers to read once it is over.

    Attributes:
        status: the HTTP status sent; 0 as long as none was.
        deadline: of the answer's start.
        complete: whether the answer was sent to its end.
        duration: seconds from arrival to the end; 0.0 before.
    """

    __slots__ = (
        "_degradation",
        "_extra_headers",
        "_send",
        "complete",
        "deadline",
        "duration",
        "request_id",
        "scope",
        "status",
        "timer",
    )

    def __init__(
        self,
        scope: Scope,
        send: Send,
        request_id: str,
        deadline: Deadline,
        extra_headers: list[tuple[bytes, bytes]],
        degradation: Degradation,
    ) -> None:
        self.scope = scope
        self.deadline = deadline
        self.request_id = request_id
        self.status = 0
        self.complete = False
        self.duration = 0.0
        self.timer: asyncio.Timeout | None = None
        self._send = send
        self._extra_headers = extra_headers
        self._degradation = degradation

    async def send(self, message: Message) -> None:
        """Send `message`, with our headers on the first one."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._extra_headers]
            if self._degradation.level is not ServiceLevel.FULL:
                message["headers"].append((SERVICE_LEVEL_HEADER, self._degradation.level.value.encode()))
            # The deadline bounds the wait for an answer; how long a stream may flow is the endpoint's affair.
            if self.timer is not None and not self.timer.expired():
                self.timer.reschedule(None)
                self.deadline.lift()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True
        await self._send(message)

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
