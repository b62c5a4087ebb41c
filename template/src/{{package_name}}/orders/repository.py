"""Orders in the database."""

from sqlalchemy import ColumnElement, case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from ..errors.hierarchy import NotFoundError
from .models import Order, OrderStatus


async def add_order(session: AsyncSession, sku: str, quantity: int, status: OrderStatus) -> Order:
    """Store a new order; it stays if the transaction does."""
    order = Order(sku=sku, quantity=quantity, status=status)
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


async def search(session: AsyncSession, text: str, limit: int) -> list[Order]:
    """At most `limit` orders for products with `text` in their name, newest first."""
    query = select(Order).where(_matches(text)).order_by(Order.created_at.desc(), Order.id.desc()).limit(limit)
    return list(await session.scalars(query))


async def search_ranked(session: AsyncSession, text: str, limit: int) -> list[Order]:
    """The same orders, best first: the product itself, then those that begin with `text`, then the others.

    Every match is ranked before the first one is known, which is what makes it slow on a large table.
    """
    rank = case(
        (func.lower(Order.sku) == text.lower(), 0),
        (Order.sku.istartswith(text, autoescape=True), 1),
        else_=2,
    )
    query = select(Order).where(_matches(text)).order_by(rank, Order.created_at.desc(), Order.id.desc()).limit(limit)
    return list(await session.scalars(query))


async def count_matches(session: AsyncSession, text: str) -> int:
    """How many orders `search` would find without a limit."""
    return (await session.execute(select(func.count()).select_from(Order).where(_matches(text)))).scalar_one()


def _matches(text: str) -> ColumnElement[bool]:
    """Escaped: `%` and `_` stand for themselves, and for anything only in a pattern of ours."""
    return Order.sku.icontains(text, autoescape=True)
