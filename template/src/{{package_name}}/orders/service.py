"""Take an order, in layers: each one stands where the one before it cannot help.

1. What is wrong in itself is refused before anybody is asked (schemas.py).
2. The inventory is asked through its protected client: timeouts, retries and a circuit breaker (pipeline.py).
3. Where it cannot tell, the order is taken all the same, and somebody looks at it later.
4. What is known by then is stored in one transaction. It begins only now: nobody holds a connection to the database
   while waiting for somebody else.
"""

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from ..db.session import Session
from ..errors.hierarchy import ConflictError, NotFoundError, UnprocessableError
from ..resilience.fallback import FallbackHandler
from ..resilience.substitutes import Substitutes
from ..upstreams.inventory import Inventory, InventoryClient
from . import repository
from .models import Order, OrderStatus
from .schemas import NewOrder


class OrderService:
    """Takes the order of one request."""

    def __init__(self, session: AsyncSession, inventory: InventoryClient, substitutes: Substitutes) -> None:
        self._session = session
        self._inventory = inventory
        self._fallback = FallbackHandler("order_stock", substitutes)

    async def place(self, new: NewOrder) -> Order:
        """Store the order: `accepted` if the inventory has enough, `pending` if it cannot tell.

        Raises:
            UnprocessableError: there is no such product.
            ConflictError: there is not enough of it.
        """
        try:
            # What was in stock some minutes ago is no promise, so the last good answer is not asked for.
            answer = await self._fallback.execute_with_fallback(lambda: self._available(new.sku), _nobody_knows)
        except NotFoundError as error:
            raise UnprocessableError("There is no such product", field="sku", sku=new.sku) from error
        available = answer.value
        if available is not None and available < new.quantity:
            raise ConflictError("Stock", "quantity", new.quantity, sku=new.sku, available=available)
        status = OrderStatus.PENDING if available is None else OrderStatus.ACCEPTED
        return await repository.add_order(self._session, new.sku, new.quantity, status)

    async def _available(self, sku: str) -> int:
        return (await self._inventory.current_stock(sku)).available


async def _nobody_knows() -> None:
    return None


async def order_service(request: Request, session: Session, inventory: Inventory) -> OrderService:
    """The service for this request."""
    return OrderService(session, inventory, request.state.substitutes)


Orders = Annotated[OrderService, Depends(order_service)]
