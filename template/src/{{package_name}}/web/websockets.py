"""WebSockets that fail: refused with the documented body before they are accepted, closed afterwards."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ..errors.hierarchy import ApplicationError
from ..observability.context import request_id as current_request_id
from ..observability.context import traceparent as current_traceparent
from ..observability.error_reports import ErrorReporter
from ..observability.tracing import HEADER as TRACEPARENT
from ..observability.tracing import join_trace
from .admission import Admission
from .request_id import HEADER, choose_request_id

INTERNAL_ERROR, POLICY_VIOLATION = 1011, 1008
"""Close codes of RFC 6455, section 7.4.1: our failure, and the client's."""


async def serve_websocket(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    admission: Admission,
    answer_error: Callable[[Scope, Exception], Response],
    reporter: ErrorReporter,
) -> None:
    """Let `app` serve the WebSocket, and end it properly if that fails."""
    headers = dict(scope["headers"])
    name = choose_request_id(headers.get(HEADER))
    token = current_request_id.set(name)
    trace_token = current_traceparent.set(join_trace(scope, headers.get(TRACEPARENT)))
    accepted = closed = False

    async def watch(message: Message) -> None:
        nonlocal accepted, closed
        accepted = accepted or message["type"] == "websocket.accept"
        closed = closed or message["type"] in {"websocket.close", "websocket.http.response.start"}
        await send(message)

    try:
        admission.check(scope, headers)
        await app(scope, receive, watch)
        if not accepted and not closed:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
    except WebSocketDisconnect:
        pass  # The client has left, which is its right.
    except Exception as error:  # noqa: BLE001 - reported on each branch
        if closed:
            reporter.report(error, 500)
        elif accepted:
            status = _status(error)
            reporter.report(error, status)
            await send({"type": "websocket.close", "code": INTERNAL_ERROR if status >= 500 else POLICY_VIOLATION})
        else:
            response = answer_error(scope, error)
            response.headers[HEADER.decode()] = name
            await response(scope, receive, send)
    finally:
        current_traceparent.reset(trace_token)
        current_request_id.reset(token)


def _status(error: Exception) -> int:
    return error.status_code if isinstance(error, ApplicationError | HTTPException) else 500
