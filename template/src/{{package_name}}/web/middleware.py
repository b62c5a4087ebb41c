"""The one pass around every request.

From the outside in it names the request, decides whether it is let in, starts its deadline, lets the application work
and adds our headers to the answer; on the way out it answers what nobody inside could, and tells the observers. It is
the outermost layer (see application.py), so nothing inside can fail without leaving an access line and a documented
answer.
"""

import math
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..observability.context import request_id as current_request_id
from ..observability.context import traceparent as current_traceparent
from ..observability.error_reports import ErrorReporter
from ..observability.exceptions import ReportedError
from ..observability.tracing import ACTIVE as TRACED
from ..observability.tracing import HEADER as TRACEPARENT
from ..observability.tracing import join_trace
from ..resilience.deadline import TIMEOUT_HEADER, Deadline, current_deadline
from ..resilience.shared_timeout import SharedTimeout
from .admission import Admission
from .body_limit import limit_body
from .exchange import Exchange
from .finished import FinishedRequests
from .request_id import HEADER, choose_request_id
from .websockets import serve_websocket

LONGEST_RESERVE = 0.1
"""Seconds between the deadline that everything inside knows and the end of the request."""

TIMEOUT = TIMEOUT_HEADER.lower().encode()

ErrorAnswer = Callable[[Scope, Exception], Response]


class RequestMiddleware:
    """Serves one request after the other through `app`.

    Args:
        app: the application proper.
        around_answers: what must see every answer, such as CORS; wraps the application and our own answers alike.
        answer_error: renders an error, and reports it.
        reporter: learns of failures that can no longer be answered.
        admission: decides which requests are let in.
        finished: gets each request after its end.
        deadline_seconds: from the arrival of a request to the start of its answer; less if the caller waits for less.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        around_answers: Callable[[ASGIApp], ASGIApp],
        answer_error: ErrorAnswer,
        reporter: ErrorReporter,
        admission: Admission,
        finished: FinishedRequests,
        deadline_seconds: float,
    ) -> None:
        self.app = around_answers(app)
        self._around_answers = around_answers
        self._answer_error = answer_error
        self._reporter = reporter
        self._admission = admission
        self._active = admission.active_requests
        self._finished = finished
        self._timeout = SharedTimeout("request", deadline_seconds)
        self._patience = (deadline_seconds, _reserved(deadline_seconds), math.inf)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket; other events pass."""
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        begin = time.monotonic()
        headers = dict(scope["headers"])
        name = choose_request_id(headers.get(HEADER))
        seconds, inner_seconds, caller_waits = (
            self._patience_of(scope, headers[TIMEOUT]) if TIMEOUT in headers else self._patience
        )
        deadline = Deadline(begin + inner_seconds, caller_waits, self._patience[1])
        exchange = Exchange(scope, send, name, deadline, self._admission.degradation)
        id_token = current_request_id.set(name)
        deadline_token = current_deadline.set(deadline)
        trace_token = None
        if TRACEPARENT in headers or TRACED in scope:
            trace_token = current_traceparent.set(join_trace(scope, headers.get(TRACEPARENT)))
        self._active.count += 1
        try:
            self._admission.check(scope, headers)
            if b"transfer-encoding" in headers:
                receive = limit_body(receive, self._admission.max_body_bytes)
            with self._timeout.limit(seconds) as exchange.limit:
                await self.app(scope, receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - each one is answered and reported
            await self._fail(exchange, receive, error)
        finally:
            self._active.count -= 1
            self._finished.add(exchange, time.monotonic() - begin)
            if trace_token is not None:
                current_traceparent.reset(trace_token)
            current_deadline.reset(deadline_token)
            current_request_id.reset(id_token)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await serve_websocket(self.app, scope, receive, send, self._admission, self._answer_error, self._reporter)
        else:
            await self.app(scope, receive, send)

    def _patience_of(self, scope: Scope, header: bytes) -> tuple[float, float, float]:
        """Seconds until the request ends, until everything inside should, and that the caller gives if that is less."""
        if header.isdigit() and len(header) < 10:
            waits = int(header) / 1000
            if waits < self._timeout.seconds and not self._admission.always_served(scope):
                return waits, _reserved(waits), waits
        return self._patience

    async def _fail(self, exchange: Exchange, receive: Receive, error: Exception) -> None:
        if not exchange.status:

            async def answer(scope: Scope, receive: Receive, send: Send) -> None:
                await self._answer_error(scope, error)(scope, receive, send)

            # What is around may answer by itself, as CORS does a preflight; then there is nothing to report.
            await self._around_answers(answer)(exchange.scope, receive, exchange.send)
            return
        self._reporter.report(error, 500)
        if not exchange.complete:
            # Half an answer is out. The server must cut the connection, or the half would look whole.
            raise ReportedError from error


def _reserved(seconds: float) -> float:
    """A little less than `seconds`: what waits inside can then say what it waited for, count it and find a substitute. If
    both ended at once it would only be cancelled.
    """
    return seconds - min(LONGEST_RESERVE, seconds / 10)
