"""Orders in the database."""

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from ..errors.hierarchy import NotFoundError
from .models import Order


async def add_order(session: AsyncSession, sku: str, quantity: int) -> Order:
    """Store a new order; it stays if the transaction does."""
    order = Order(sku=sku, quantity=quantity)
    session.add(order)
    await session.flush()
    return order


async def get_order(session: AsyncSession, order_id: str) -> Order:
    """The order `order_id`.

    Raises:
        NotFoundError: there is none.
    """
    order = await session.get(Order, order_id)
    if order is None:
        raise NotFoundError("Order", order_id)
    return order


async def list_orders(session: AsyncSession, *, limit: int, after: str | None) -> list[Order]:
    """At most `limit` orders, newest first, that follow the order `after`.

    Raises:
        NotFoundError: there is no order `after`.
    """
    query = select(Order).order_by(Order.created_at.desc(), Order.id.desc()).limit(limit)
    if after is not None:
        last = await get_order(session, after)
        query = query.where(tuple_(Order.created_at, Order.id) < tuple_(last.created_at, last.id))
    return list(await session.scalars(query))
