"""The inventory: how much of a product is in stock."""

from typing import Annotated
from urllib.parse import quote

import httpx
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict

from ..errors.hierarchy import NotFoundError
from ..errors.isolation import error_isolation
from ..resilience.policy import Policy
from ..resilience.substitutes import Answer
from .connection import UpstreamConnection
from .declaration import Upstream

INVENTORY = Upstream(
    name="inventory",
    base_url="http://127.0.0.1:9001",
    policy=Policy(
        total_timeout=2.0,
        attempt_timeout=0.8,
        retry_delay=0.1,
        failure_ratio=0.5,
        minimum_calls=10,
        window=5.0,
        recovery_timeout=5.0,
        success_threshold=1,
        stale_if_error=300.0,
    ),
)

IMPATIENT = httpx.Timeout(None, connect=0.3, pool=0.3)
"""For a question with an older answer at hand: there is no point in waiting long for a connection."""


class Stock(BaseModel):
    """What the inventory knows of one product; frozen, for it is kept and given out again."""

    model_config = ConfigDict(frozen=True)

    sku: str
    available: int


class InventoryClient:
    """The inventory's API in our terms."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    async def stock(self, sku: str) -> Answer[Stock]:
        """The stock of `sku`, or what it last was.

        Raises:
            NotFoundError: the inventory does not know `sku`.
            ServiceUnavailableError, OperationTimeoutError: it cannot tell.
            IsolatedError: it refuses our request, which is a bug of ours; no caller has to know the HTTP client.
        """
        return await self._connection.stale.call(("stock", sku), lambda: self._ask(sku, IMPATIENT))

    async def current_stock(self, sku: str) -> Stock:
        """The stock of `sku` as it is now.

        Raises:
            The same as `stock`.
        """
        return await self._ask(sku)

    async def _ask(self, sku: str, timeouts: httpx.Timeout | None = None) -> Stock:
        async with error_isolation("inventory stock"):
            try:
                return await self._connection.get(f"/stock/{quote(sku, safe='')}", Stock, timeouts=timeouts)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == 404:
                    raise NotFoundError("Product", sku) from error
                raise


async def inventory_client(request: Request) -> InventoryClient:
    """The client for this request, on the connection all requests share."""
    return InventoryClient(request.state.upstreams[INVENTORY.name])


Inventory = Annotated[InventoryClient, Depends(inventory_client)]
