"""The example beside an inventory that fails on demand."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.environment import make_app
from tests.support.server import connect, serving
from tools.unreliable_upstream import UnreliableUpstream


@pytest.fixture(scope="module")
async def running_inventory() -> AsyncIterator[UnreliableUpstream]:
    async with UnreliableUpstream() as upstream:
        yield upstream


@pytest.fixture
def inventory(running_inventory: UnreliableUpstream) -> UnreliableUpstream:
    running_inventory.recover()
    return running_inventory


@pytest.fixture(scope="module")
def shop_service(tmp_path_factory: pytest.TempPathFactory, running_inventory: UnreliableUpstream) -> Iterator[str]:
    app = make_app(tmp_path_factory.mktemp("shop"), INVENTORY_BASE_URL=running_inventory.url)
    with serving(app) as url:
        yield url


@pytest.fixture
async def shop(shop_service: str, inventory: UnreliableUpstream) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(shop_service) as client:
        yield client
