"""A real upstream that fails on demand, and a connection to it."""

from collections.abc import AsyncIterator

import pytest

from tests.subject import UpstreamConnection
from tests.support.upstreams import POLICY, connect_to
from tools.unreliable_upstream import UnreliableUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[UnreliableUpstream]:
    """The upstream."""
    async with UnreliableUpstream() as upstream:
        yield upstream


@pytest.fixture
async def connection(upstream: UnreliableUpstream) -> AsyncIterator[UpstreamConnection]:
    """A connection with short timeouts that tries once."""
    async with connect_to(upstream.url, POLICY) as connection:
        yield connection
