"""Take an order, in layers: each one stands where the one before it cannot help.

1. What is wrong in itself is refused before anybody is asked (schemas.py).
2. The inventory is asked through its protected client: timeouts, retries and a circuit breaker (pipeline.py).
3. Where it cannot tell, the order is taken all the same, and somebody looks at it later.
4. What is known by then is stored in one transaction, with the answer to whoever asks the same again (idempotency.py).
   It begins only now: nobody holds a connection to the database while waiting for somebody else.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from ..db.transactions import Transactions
from ..errors.hierarchy import ConflictError, NotFoundError, UnprocessableError
from ..resilience.fallback import FallbackHandler
from ..resilience.substitutes import Substitutes
from ..upstreams.inventory import Inventory, InventoryClient
from . import repository
from .idempotency import Claim, IdempotencyKeys, idempotency_keys
from .models import OrderStatus
from .schemas import NewOrder, OrderView


@dataclass(frozen=True, slots=True)
class Placed:
    """An order, and whether it was placed by an earlier request."""

    order: OrderView
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Versioned:
    """An order, and which version of it this is."""

    order: OrderView
    version: int


class OrderService:
    """Takes the order of one request."""

    def __init__(
        self, transactions: Transactions, keys: IdempotencyKeys, inventory: InventoryClient, substitutes: Substitutes
    ) -> None:
        self._transactions = transactions
        self._keys = keys
        self._inventory = inventory
        self._fallback = FallbackHandler("order_stock", substitutes)

    async def place(self, new: NewOrder, key: str | None) -> Placed:
        """Store the order, once for each `key`: `accepted` if the inventory has enough, `pending` if it cannot tell.

        Raises:
            UnprocessableError: there is no such product, or the key belongs to another request.
            ConflictError: there is not enough of it, or the same request is being worked on.
        """
        async with self._keys.claimed(key, new) as claim:
            if claim.answer is not None:
                return Placed(OrderView.model_validate_json(claim.answer), replayed=True)
            status = await self._status_of(new)
            return Placed(await self._transactions.run(lambda session: _store(session, new, status, claim)))

    async def change(self, order_id: str, quantity: int, version: int) -> Versioned:
        """Order another quantity, if the order is still at `version`.

        Raises:
            NotFoundError: there is no such order.
            ConflictError: somebody else has changed it since.
        """

        async def change(session: AsyncSession) -> Versioned:
            order = await repository.get_order(session, order_id)
            if order.version != version:
                raise ConflictError("Order", "version")
            order.quantity = quantity
            await session.flush()
            return Versioned(OrderView.model_validate(order), order.version)

        return await self._transactions.run(change)

    async def _status_of(self, new: NewOrder) -> OrderStatus:
        try:
            # What was in stock some minutes ago is no promise, so the last good answer is not asked for.
            answer = await self._fallback.execute_with_fallback(lambda: self._available(new.sku), _nobody_knows)
        except NotFoundError as error:
            raise UnprocessableError("There is no such product", field="sku", sku=new.sku) from error
        available = answer.value
        if available is not None and available < new.quantity:
            raise ConflictError("Stock", "quantity", new.quantity, sku=new.sku, available=available)
        return OrderStatus.PENDING if available is None else OrderStatus.ACCEPTED

    async def _available(self, sku: str) -> int:
        return (await self._inventory.current_stock(sku)).available


async def _store(session: AsyncSession, new: NewOrder, status: OrderStatus, claim: Claim) -> OrderView:
    order = OrderView.model_validate(await repository.add_order(session, new.sku, new.quantity, status))
    await claim.keep(session, order.model_dump_json())
    return order


async def _nobody_knows() -> None:
    return None


async def order_service(request: Request, inventory: Inventory) -> OrderService:
    """The service for this request."""
    state = request.state
    return OrderService(state.transactions, idempotency_keys(request), inventory, state.substitutes)


Orders = Annotated[OrderService, Depends(order_service)]
