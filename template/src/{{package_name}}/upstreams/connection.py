"""The connection to one upstream: a client with its own pool and its own pipeline, shared by all requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import BaseModel, ValidationError

from ..errors.classification import ErrorClassifier
from ..observability.context import request_id, traceparent
from ..resilience.deadline import TIMEOUT_HEADER, time_left
from ..resilience.events import Event
from ..resilience.pipeline import Pipeline
from ..resilience.policy import Policy
from ..resilience.substitutes import StaleIfError, Substitutes
from .declaration import Upstream
from .errors import UnusableAnswerError, has_answered, retry_after_of, upstream_errors

Model = TypeVar("Model", bound=BaseModel)

MAX_ANSWER_BYTES = 10 * 1024 * 1024
"""Of one answer, decompressed."""

CHUNK_BYTES = 64 * 1024

_TRACE_CONTEXT = TraceContextTextMapPropagator()


class UpstreamConnection:
    """Calls one upstream; made at the start, closed at the end.

    Args:
        name: of the upstream.
        base_url: where it is.
        policy: how calls are protected; complete.
        connect_timeout: seconds to establish a connection.
        classifier: tells what kind of failure an exception is.
        events: learns of what happens to calls.
        clock, sleep: time, for tests to replace.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        policy: Policy,
        *,
        connect_timeout: float,
        classifier: ErrorClassifier,
        events: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._clock = clock
        self.pipeline = Pipeline(
            name,
            policy,
            classifier=classifier,
            events=events,
            retry_after=retry_after_of,
            answered=has_answered,
            clock=clock,
            sleep=sleep,
        )
        self.stale = StaleIfError(
            name, policy.stale_if_error or 0.0, substitutes=Substitutes(classifier, events), clock=clock
        )
        """What its client may give out when the upstream fails."""
        # Phase by phase: an attempt as a whole is bounded by the pipeline, for a body that drips never meets these. Waiting
        # for a free connection is no fault of the upstream, so it ends before the attempt does.
        attempt_timeout = self.pipeline.attempt_timeout
        self._transport: Any = httpx.AsyncHTTPTransport(
            trust_env=False,  # Proxies and the like are settings, and settings are handed down.
            limits=httpx.Limits(max_connections=policy.max_concurrency, max_keepalive_connections=20),
        )
        self._may_have_orphans = False
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=self._transport,
            trust_env=False,
            timeout=httpx.Timeout(
                attempt_timeout, connect=min(connect_timeout, attempt_timeout), pool=attempt_timeout / 2
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, model: type[Model], *, timeouts: httpx.Timeout | None = None) -> Model:
        """GET `path` and read the answer as `model`; tried again where that may help.

        Args:
            path: below the base URL, already quoted.
            model: the shape of a good answer.
            timeouts: of httpx, for the phases of this one call; an attempt as a whole takes no longer than declared.

        Raises:
            ServiceUnavailableError: also where the answer does not have the shape of `model`.
            OperationTimeoutError: no complete answer in time.
            CircuitBreakerOpenError: it has failed too often of late.
            OverloadedError: too many of our calls are under way.
            ValueError: `path` could lead elsewhere.
            httpx.HTTPStatusError: any other answer that is no success; redirects are not followed.
        """
        return await self._request("GET", path, model, idempotent=True, timeout=timeouts or self._client.timeout)

    async def post(self, path: str, body: BaseModel, model: type[Model], *, idempotency_key: str | None) -> Model:
        """POST `body` to `path` and read the answer as `model`.

        Args:
            path: below the base URL, already quoted.
            body: what is sent, as JSON.
            model: the shape of a good answer.
            idempotency_key: lets the upstream recognise a repetition, so that the call may be tried again. With None it
                is sent once. There is no default, for nobody else can know which is right.

        Raises:
            The same as `get`.
        """
        headers = {"Content-Type": "application/json"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        content = body.model_dump_json()
        return await self._request(
            "POST", path, model, idempotent=idempotency_key is not None, content=content, headers=headers
        )

    async def _request(
        self,
        method: str,
        path: str,
        model: type[Model],
        *,
        idempotent: bool,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Model:
        _check_path(path)
        sent = dict(headers or {})
        if name := request_id.get():
            sent["X-Request-ID"] = name
        if parent := traceparent.get():
            sent["traceparent"] = parent
        _TRACE_CONTEXT.inject(sent)  # The span that this call is made in, if there is one, is nearer.

        ends_at = self._clock() + time_left(self.pipeline.total_timeout)

        async def attempt() -> Model:
            seconds = min(self.pipeline.attempt_timeout, ends_at - self._clock())
            sent[TIMEOUT_HEADER] = str(max(0, int(seconds * 1000)))
            try:
                if self._may_have_orphans:
                    await self._close_orphans()
                async with self._client.stream(method, path, headers=sent, **options) as response:
                    content = await self._read(response)  # To its end whatever the status, or the connection is lost.
                response.raise_for_status()
            except BaseException:
                self._may_have_orphans = True
                raise
            try:
                return model.model_validate_json(content)
            except ValidationError as error:
                raise UnusableAnswerError("unexpected answer") from error

        with upstream_errors(self.name, self.pipeline.total_timeout):
            return await self.pipeline.call(attempt, idempotent=idempotent)

    async def _close_orphans(self) -> None:
        """Take out of the pool what a cancelled request has left there, and close it.

        Cancelled between getting a connection and using it, httpcore keeps that connection for ever: it is not idle, not
        closed and nobody's, but it counts. A timeout is a cancellation too, so that an upstream which hangs would fill
        the pool until the process ends.
        """
        self._may_have_orphans = False
        pool = self._transport._pool  # httpcore has no other way; tests/upstreams/test_compositions.py pins it.
        used = [request.connection for request in pool._requests]
        orphans = [one for one in pool.connections if not (one in used or one.is_idle() or one.is_closed())]
        for orphan in orphans:
            if orphan in pool._connections:  # Else another call was faster.
                pool._connections.remove(orphan)
                await orphan.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        """The body, as long as it is of a bearable size: compressed, a small one can fill the memory."""
        content = bytearray()
        async for chunk in response.aiter_bytes(CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise UnusableAnswerError("answer too large")
        return bytes(content)


def _check_path(path: str) -> None:
    """A path that was made of unquoted input could lead to another host or to another part of the API."""
    if not path.startswith("/") or path.startswith("//") or {".", ".."} & set(path.partition("?")[0].split("/")):
        raise ValueError("A path begins with one slash and has no dot segments; quote what it is made of")


async def connect_all(
    stack: AsyncExitStack,
    upstreams: Iterable[Upstream],
    base_urls: Mapping[str, str],
    policies: Mapping[str, Policy],
    *,
    connect_timeout: float,
    classifier: ErrorClassifier,
    events: Callable[[Event], None],
) -> dict[str, UpstreamConnection]:
    """A connection to each of `upstreams` by its name; `stack` closes them. Nothing is contacted yet."""
    return {
        upstream.name: await stack.enter_async_context(
            UpstreamConnection(
                upstream.name,
                base_urls[upstream.name],
                policies[upstream.name],
                connect_timeout=connect_timeout,
                classifier=classifier,
                events=events,
            )
        )
        for upstream in upstreams
    }
