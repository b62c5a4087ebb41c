"""The routes of the example."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ..db.session import Session
from ..errors.enrichment import error_context
from ..errors.hierarchy import (
    ConflictError,
    FallbackChainExhaustedError,
    NotFoundError,
    UnprocessableError,
    ValidationError,
)
from ..upstreams.inventory import Inventory
from ..web.openapi import raises
from . import repository
from .idempotency import IdempotencyKey
from .schemas import Availability, IfMatch, NewOrder, OrderChange, OrderPage, OrderView, SearchPage, Sku
from .search import Search
from .service import Orders

router = APIRouter(prefix="/v1", tags=["orders"])


@router.post("/orders", status_code=201, responses=raises(ConflictError, UnprocessableError))
async def create_order(
    new: NewOrder, orders: Orders, response: Response, idempotency_key: IdempotencyKey = None
) -> OrderView:
    """Take an order; with an `Idempotency-Key` once only, however often it comes."""
    placed = await orders.place(new, idempotency_key)
    if placed.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return placed.order


@router.get("/orders", responses=raises(ValidationError))
async def list_orders(
    session: Session,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=36)] = None,
) -> OrderPage:
    """The orders, newest first."""
    try:
        orders = await repository.list_orders(session, limit=limit + 1, after=cursor)
    except NotFoundError as error:
        raise ValidationError("The cursor is not one of ours", field="cursor") from error
    more = len(orders) > limit
    page = orders[:limit]
    return OrderPage(
        items=[OrderView.model_validate(order) for order in page], next_cursor=page[-1].id if more else None
    )


# Before the next route, whose path would take "search" for the id of an order.
@router.get("/orders/search", responses=raises(FallbackChainExhaustedError))
async def search_orders(
    q: Annotated[str, Query(min_length=1, max_length=64, description="A part of the product's name.")],
    search: Search,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> SearchPage:
    """Orders for a product, best first; a simpler or an earlier result while that cannot be had."""
    found = await search.search(q, limit)
    if found.age is not None:
        response.headers["Age"] = str(round(found.age))
    return found.value


@router.get("/orders/{order_id}", responses=raises(NotFoundError))
async def get_order(order_id: str, session: Session, response: Response) -> OrderView:
    """One order; `ETag` names its version."""
    order = await repository.get_order(session, order_id)
    response.headers["ETag"] = _etag(order.version)
    return OrderView.model_validate(order)


@router.patch("/orders/{order_id}", responses=raises(NotFoundError, ConflictError))
async def change_order(
    order_id: str, change: OrderChange, orders: Orders, response: Response, if_match: IfMatch
) -> OrderView:
    """Change an order, if it is still as its `ETag` said."""
    changed = await orders.change(order_id, change.quantity, int(if_match.strip('"')))
    response.headers["ETag"] = _etag(changed.version)
    return changed.order


@router.get("/availability/{sku}", responses=raises(NotFoundError))
async def get_availability(sku: Sku, inventory: Inventory, response: Response) -> Availability:
    """How much of a product is in stock, as the inventory says now or, while it cannot, last said."""
    with error_context(sku=sku):
        stock = await inventory.stock(sku)
    if stock.age is not None:
        response.headers["Age"] = str(round(stock.age))
    return Availability(sku=stock.value.sku, available=stock.value.available, degraded=stock.age is not None)


def _etag(version: int) -> str:
    return f'"{version}"'
