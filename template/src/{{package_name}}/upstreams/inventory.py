"""The inventory: how much of a product is in stock."""

from typing import Annotated
from urllib.parse import quote

import httpx
from fastapi import Depends, Request
from pydantic import BaseModel

from ..errors.hierarchy import NotFoundError
from ..errors.isolation import error_isolation
from .connection import UpstreamConnection
from .declaration import Upstream

INVENTORY = Upstream(name="inventory", base_url="http://127.0.0.1:9001", total_timeout=2.0)


class Stock(BaseModel):
    """What the inventory knows of one product."""

    sku: str
    available: int


class InventoryClient:
    """The inventory's API in our terms."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    async def stock(self, sku: str) -> Stock:
        """The stock of `sku`.

        Raises:
            NotFoundError: the inventory does not know `sku`.
            ServiceUnavailableError, OperationTimeoutError: it cannot tell.
            IsolatedError: it refuses our request, which is a bug of ours; no caller has to know the HTTP client.
        """
        async with error_isolation("inventory stock"):
            try:
                return await self._connection.get(f"/stock/{quote(sku, safe='')}", Stock)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == 404:
                    raise NotFoundError("Product", sku) from error
                raise


def inventory_client(request: Request) -> InventoryClient:
    """The client for this request, on the connection all requests share."""
    return InventoryClient(request.state.upstreams[INVENTORY.name])


Inventory = Annotated[InventoryClient, Depends(inventory_client)]
