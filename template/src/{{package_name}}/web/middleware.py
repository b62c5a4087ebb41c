"""The one pass around every request.

From the outside in it names the request, limits its body, starts its deadline, lets the application work and adds our
headers to the answer; on the way out it answers what nobody inside could, and tells the observers. It is the outermost
layer (see application.py), so nothing inside can fail without leaving an access line and a documented answer.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors.hierarchy import OperationTimeoutError, OverloadedError
from ..observability.context import request_id as current_request_id
from ..observability.error_reports import ErrorReporter
from ..observability.exceptions import ReportedError
from ..resilience.deadline import TIMEOUT_HEADER, Deadline, current_deadline
from ..resilience.degradation import Degradation
from .body_limit import limit_body, too_large
from .exchange import ActiveRequests, Exchange
from .request_id import HEADER, choose_request_id
from .websockets import serve_websocket

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
"""What is right for every API. Strict-Transport-Security belongs to whoever ends TLS."""

LONGEST_RESERVE = 0.1
"""Seconds between the deadline that everything inside knows and the end of the request."""

TIMEOUT = TIMEOUT_HEADER.lower().encode()

RequestObserver = Callable[[Exchange], None]
ErrorAnswer = Callable[[Scope, Exception], Response]


class RequestMiddleware:
    """Serves one request after the other through `app`.

    Args:
        app: the application proper.
        around_answers: what must see every answer, such as CORS; wraps the application and our own answers alike.
        answer_error: renders an error, and reports it.
        reporter: learns of failures that can no longer be answered.
        active_requests: counts the requests being served.
        degradation: knows the level that answers tell.
        observers: called once for each request, after its end; they must not raise.
        deadline_seconds: from the arrival of a request to the start of its answer; less if the caller waits for less.
        max_active_requests: requests being served at the same time; more are refused at once.
        always_served: whether a request is served all the same, for probes must tell of an overload and not fall to it.
        max_body_bytes: of a request's body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        around_answers: Callable[[ASGIApp], ASGIApp],
        answer_error: ErrorAnswer,
        reporter: ErrorReporter,
        active_requests: ActiveRequests,
        observers: Sequence[RequestObserver],
        degradation: Degradation,
        deadline_seconds: float,
        max_active_requests: int,
        always_served: Callable[[Scope], bool],
        max_body_bytes: int,
    ) -> None:
        self.app = around_answers(app)
        self._active = active_requests
        self._around_answers = around_answers
        self._answer_error = answer_error
        self._reporter = reporter
        self._observers = observers
        self._degradation = degradation
        self._deadline_seconds = deadline_seconds
        self._max_active_requests = max_active_requests
        self._always_served = always_served
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket; other events pass."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await serve_websocket(self.app, scope, receive, send, self._answer_error, self._reporter)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        offered_id, length, chunked, waits = _read_headers(scope)
        name = choose_request_id(offered_id)
        if waits >= self._deadline_seconds or self._always_served(scope):
            waits = math.inf
        seconds = min(self._deadline_seconds, waits)
        # A little earlier than our own timer: what waits inside can then say what it waited for, count it and find a
        # substitute. If both ended at once it would only be cancelled.
        deadline = Deadline.after(seconds - min(LONGEST_RESERVE, seconds / 10), caller_waits=waits)
        headers = [(HEADER, name.encode()), *SECURITY_HEADERS]
        exchange = Exchange(scope, send, name, deadline, headers, self._degradation)
        id_token = current_request_id.set(name)
        deadline_token = current_deadline.set(deadline)
        self._active.count += 1
        try:
            if self._active.count > self._max_active_requests and not self._always_served(scope):
                await self._answer(exchange, receive, OverloadedError("Too many requests are being served"))
            elif length > self._max_body_bytes:
                await self._answer(exchange, receive, too_large())
            else:
                await self._work(exchange, limit_body(receive, self._max_body_bytes) if chunked else receive, seconds)
        finally:
            self._active.count -= 1
            exchange.duration = time.perf_counter() - begin
            for observe in self._observers:
                observe(exchange)
            current_deadline.reset(deadline_token)
            current_request_id.reset(id_token)

    async def _work(self, exchange: Exchange, receive: Receive, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds) as timer:
                exchange.timer = timer
                await self.app(exchange.scope, receive, exchange.send)
        except Exception as error:
            if exchange.complete:
                return  # Answered and reported by the handler of last resort, or a background task that failed.
            if isinstance(error, TimeoutError) and timer.expired():
                error = OperationTimeoutError("request", seconds)
            if not exchange.status:
                exchange.timer = None  # It has ended with the block, and cannot be moved any more.
                await self._answer(exchange, receive, error)
                return
            # Half an answer is out. The server must cut the connection, or the half would look whole.
            raise ReportedError from error

    async def _answer(self, exchange: Exchange, receive: Receive, error: Exception) -> None:
        response = self._answer_error(exchange.scope, error)
        await self._around_answers(response)(exchange.scope, receive, exchange.send)


def _read_headers(scope: Scope) -> tuple[bytes | None, int, bool, float]:
    """The offered request id, the announced length of the body in bytes, whether its length is unannounced, and how many
    seconds the caller waits.
    """
    offered_id, length, chunked, waits = None, 0, False, math.inf
    for name, value in scope["headers"]:
        if name == HEADER:
            offered_id = value
        elif name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"transfer-encoding":
            chunked = True
        elif name == TIMEOUT and value.isdigit() and len(value) < 10:
            waits = int(value) / 1000
    return offered_id, length, chunked, waits
