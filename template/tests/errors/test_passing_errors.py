"""Errors that pass: enriched, or isolated."""

import asyncio

import pytest

from tests.subject import IsolatedError, NotFoundError, error_context, error_isolation


def test_our_errors_are_enriched_and_others_untouched() -> None:
    with pytest.raises(NotFoundError) as ours, error_context(sku="A-1"):
        raise NotFoundError("Order", "1")
    assert ours.value.context == {"sku": "A-1", "resource_type": "Order", "resource_id": "1"}
    with pytest.raises(KeyError), error_context(sku="A-1"):
        raise KeyError("x")


async def test_a_foreign_error_is_isolated_with_its_cause() -> None:
    cause = KeyError("x")
    with pytest.raises(IsolatedError) as isolated:
        async with error_isolation("count"):
            raise cause
    assert isolated.value.cause is cause
    assert isolated.value.context == {"operation": "count"}


@pytest.mark.parametrize("error", [NotFoundError("Order", "1"), asyncio.CancelledError()])
async def test_our_errors_and_cancellation_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as passed:
        async with error_isolation("count"):
            raise error
    assert passed.value is error
