"""What clients send and get."""

from enum import StrEnum
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field

Sku = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="A product, such as A-1.")]


class NewOrder(BaseModel):
    """An order as a client asks for it."""

    model_config = ConfigDict(extra="forbid")

    sku: Sku
    quantity: int = Field(ge=1, le=10_000)


class OrderChange(BaseModel):
    """What may change in an order."""

    model_config = ConfigDict(extra="forbid")

    quantity: int = Field(ge=1, le=10_000)


IfMatch = Annotated[str, Header(pattern=r'^"[0-9]{1,9}"$', description="The `ETag` of the order that is to change.")]


class OrderView(BaseModel):
    """An order as a client sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    sku: str
    quantity: int
    status: str


class OrderPage(BaseModel):
    """A part of the list."""

    items: list[OrderView]
    next_cursor: str | None = Field(description="Ask again with this cursor for the rest; null at the end.")


class SearchWay(StrEnum):
    """How a search came to its result, from the best way to the last resort."""

    RANKED = "ranked"
    BASIC = "basic"
    LAST_GOOD = "last_good"


class SearchPage(BaseModel):
    """What a search has found; frozen, for it is kept and given out again."""

    model_config = ConfigDict(frozen=True)

    items: list[OrderView]
    total: int | None = Field(description="How many orders match; null if counting them would have taken too long.")
    degraded: bool = Field(description="Whether this is less than a search usually gives.")
    answered_by: SearchWay = Field(description="Best first, newest first, or an earlier result with its `Age`.")


class Availability(BaseModel):
    """How much of a product is in stock."""

    sku: str
    available: int
    degraded: bool = Field(description="Whether this is a substitute for a current answer.")
