"""The connection to one upstream: a client with its own pool, shared by all requests."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from ..errors.hierarchy import ServiceUnavailableError
from ..observability.context import request_id
from ..resilience.deadline import time_left
from .declaration import Upstream
from .errors import upstream_errors

Model = TypeVar("Model", bound=BaseModel)


class UpstreamConnection:
    """Calls one upstream within its timeouts; made at the start, closed at the end.

    Args:
        name: of the upstream.
        base_url: where it is.
        total_timeout: seconds for a whole call; the request's own deadline cuts it short.
        connect_timeout: seconds to establish a connection.
        read_timeout: seconds without a byte of the answer.
    """

    def __init__(
        self, name: str, base_url: str, *, total_timeout: float, connect_timeout: float, read_timeout: float
    ) -> None:
        self.name = name
        self._total_timeout = total_timeout
        self._client = httpx.AsyncClient(
            base_url=base_url,
            trust_env=False,  # Proxies and the like are settings, and settings are handed down.
            timeout=httpx.Timeout(
                connect=min(connect_timeout, total_timeout),
                read=min(read_timeout, total_timeout),
                write=min(read_timeout, total_timeout),
                pool=min(connect_timeout, total_timeout),
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, model: type[Model], *, timeouts: httpx.Timeout | None = None) -> Model:
        """GET `path` and read the answer as `model`.

        Args:
            path: below the base URL, already quoted.
            model: the shape of a good answer.
            timeouts: granular timeouts of this one call, instead of the connection's.

        Raises:
            ServiceUnavailableError: also where the answer does not have the shape of `model`.
            OperationTimeoutError: no complete answer in time.
            httpx.HTTPStatusError: any other answer that is no success; redirects are not followed.
        """
        limit = time_left(self._total_timeout)
        name = request_id.get()
        with upstream_errors(self.name, limit):
            # Timeouts of httpx are for each read: a body that drips never meets them.
            async with asyncio.timeout(limit):
                response = await self._client.get(
                    path,
                    headers={"X-Request-ID": name} if name else None,
                    timeout=timeouts or self._client.timeout,
                )
            response.raise_for_status()
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceUnavailableError(self.name, reason="unexpected answer") from error


async def connect_all(
    stack: AsyncExitStack,
    upstreams: Iterable[Upstream],
    base_urls: Mapping[str, str],
    *,
    default_timeout: float,
    connect_timeout: float,
    read_timeout: float,
) -> dict[str, UpstreamConnection]:
    """A connection to each of `upstreams` by its name; `stack` closes them. Nothing is contacted yet."""
    return {
        upstream.name: await stack.enter_async_context(
            UpstreamConnection(
                upstream.name,
                base_urls[upstream.name],
                total_timeout=upstream.total_timeout or default_timeout,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
            )
        )
        for upstream in upstreams
    }
