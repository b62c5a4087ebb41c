"""The routes of the example."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ..db.session import Session
from ..errors.enrichment import error_context
from ..errors.hierarchy import NotFoundError, ValidationError
from ..upstreams.inventory import Inventory
from ..web.openapi import raises
from . import repository
from .schemas import Availability, NewOrder, OrderPage, OrderView, Sku

router = APIRouter(prefix="/v1", tags=["orders"])


@router.post("/orders", status_code=201)
async def create_order(new: NewOrder, session: Session) -> OrderView:
    """Accept an order."""
    return OrderView.model_validate(await repository.add_order(session, new.sku, new.quantity))


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


@router.get("/orders/{order_id}", responses=raises(NotFoundError))
async def get_order(order_id: str, session: Session) -> OrderView:
    """One order."""
    return OrderView.model_validate(await repository.get_order(session, order_id))


@router.get("/availability/{sku}", responses=raises(NotFoundError))
async def get_availability(sku: Sku, inventory: Inventory, response: Response) -> Availability:
    """How much of a product is in stock, as the inventory says now or, while it cannot, last said."""
    with error_context(sku=sku):
        stock = await inventory.stock(sku)
    if stock.age is not None:
        response.headers["Age"] = str(round(stock.age))
    return Availability(sku=stock.value.sku, available=stock.value.available, degraded=stock.age is not None)
