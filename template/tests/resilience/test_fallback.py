"""Something else answers where an operation fails: named, counted, and never in the place of a bug."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.subject import (
    Answer,
    ApplicationError,
    Choice,
    CircuitBreakerOpenError,
    ErrorClassifier,
    Event,
    FallbackChain,
    FallbackChainExhaustedError,
    FallbackError,
    FallbackHandler,
    FallbackUsed,
    IsolatedError,
    NotFoundError,
    OperationTimeoutError,
    OverloadedError,
    ServiceUnavailableError,
    Substitutes,
    ValidationError,
    describe_exception,
    safe_async_call,
)

PASSING = [
    ServiceUnavailableError("ledger"),
    OperationTimeoutError("ledger", 1),
    CircuitBreakerOpenError("ledger"),
    OverloadedError(),
    FallbackChainExhaustedError(),
    ConnectionResetError(),
    TimeoutError(),
]
LASTING = [
    NotFoundError("Order", "1"),
    ValidationError("No"),
    ApplicationError("unknown"),
    IsolatedError("count"),
    ValueError("a bug"),
    MemoryError(),
]


def name_of(error: BaseException) -> str:
    return type(error).__name__


@pytest.fixture
def substitutes(seen: list[Event]) -> Substitutes:
    return Substitutes(ErrorClassifier(), seen.append)


@pytest.fixture
def handler(substitutes: Substitutes) -> FallbackHandler:
    return FallbackHandler("rates", substitutes)


@pytest.fixture
def chain(substitutes: Substitutes) -> FallbackChain:
    return FallbackChain("rates", substitutes)


def gives(value: str) -> Callable[[], Awaitable[str]]:
    async def function() -> str:
        return value

    return function


def fails(error: BaseException) -> Callable[[], Awaitable[str]]:
    async def function() -> str:
        raise error

    return function


async def never() -> str:
    raise AssertionError("nobody should have asked")


async def test_as_long_as_the_first_answers_nobody_else_is_asked(
    handler: FallbackHandler, chain: FallbackChain, seen: list[Event]
) -> None:
    assert await handler.execute_with_fallback(gives("new"), never) == Choice("new", "primary")
    assert await chain.execute({"best": gives("new"), "plain": never}) == Choice("new", "best")
    assert seen == []


@pytest.mark.parametrize("error", PASSING, ids=name_of)
async def test_a_failure_that_another_answer_makes_up_for(
    handler: FallbackHandler, chain: FallbackChain, substitutes: Substitutes, seen: list[Event], error: Exception
) -> None:
    assert await handler.execute_with_fallback(fails(error), gives("old")) == Choice("old", "fallback")
    assert await chain.execute({"best": fails(error), "plain": gives("old")}) == Choice("old", "plain")
    assert await safe_async_call(fails(error)(), None, name="hint", substitutes=substitutes) is None
    assert seen == [
        FallbackUsed("rates", "fallback", error),
        FallbackUsed("rates", "plain", error),
        FallbackUsed("hint", "default", error),
    ]


@pytest.mark.parametrize("error", [*LASTING, asyncio.CancelledError(), KeyboardInterrupt()], ids=name_of)
async def test_what_nothing_makes_up_for_passes_as_it_is(
    handler: FallbackHandler, chain: FallbackChain, substitutes: Substitutes, seen: list[Event], error: BaseException
) -> None:
    down = ServiceUnavailableError("ledger")
    for call in (
        handler.execute_with_fallback(fails(error), never),
        handler.execute_with_fallback(fails(down), fails(error)),
        chain.execute({"best": fails(error), "plain": never}),
        chain.execute({"best": fails(down), "plain": fails(error), "last": never}),
        safe_async_call(fails(error)(), None, name="hint", substitutes=substitutes),
    ):
        with pytest.raises(type(error)) as passed:
            await call
        assert passed.value is error
    assert seen == []


async def test_when_both_have_failed_both_are_told(handler: FallbackHandler, seen: list[Event]) -> None:
    first, second = ServiceUnavailableError("ledger", retry_after=7), ConnectionResetError()
    with pytest.raises(FallbackError) as failed:
        await handler.execute_with_fallback(fails(first), fails(second))
    error = failed.value
    assert (error.primary_error, error.fallback_error, error.cause) == (first, second, second)
    assert (error.context, error.headers) == ({"operation": "rates"}, {"Retry-After": "7"})
    causes = {cause["type"].rpartition(".")[2] for cause in describe_exception(error)["causes"]}
    assert causes == {"ServiceUnavailableError", "ConnectionResetError"}
    assert seen == []


async def test_a_chain_goes_on_until_one_answers(chain: FallbackChain, seen: list[Event]) -> None:
    last = TimeoutError()
    ways = {"best": fails(ConnectionResetError()), "plain": fails(last), "old": gives("old"), "none": never}
    assert await chain.execute(ways) == Choice("old", "old")
    assert seen == [FallbackUsed("rates", "old", last)]


async def test_a_chain_that_ends_tells_of_every_link(chain: FallbackChain, seen: list[Event]) -> None:
    last = ServiceUnavailableError("copy", retry_after=3)
    ways = {"best": fails(CircuitBreakerOpenError("best", retry_after=1.5)), "copy": fails(last)}
    with pytest.raises(FallbackChainExhaustedError) as ended:
        await chain.execute(ways)
    error = ended.value
    assert (error.last_error, error.cause) == (last, last)
    assert error.context == {
        "operation": "rates",
        "failures": {"best": "CircuitBreakerOpenError", "copy": "ServiceUnavailableError"},
    }
    assert error.headers == {"Retry-After": "2"}
    assert seen == []


async def test_a_default_stands_in_for_what_takes_too_long(substitutes: Substitutes, seen: list[Event]) -> None:
    async def hang() -> str:
        await asyncio.sleep(60)
        return "late"

    assert await safe_async_call(hang(), "none", name="hint", substitutes=substitutes, timeout=0.01) == "none"
    [event] = seen
    assert isinstance(event, FallbackUsed)
    assert isinstance(event.error, OperationTimeoutError)
    assert await safe_async_call(gives("in time")(), None, name="hint", substitutes=substitutes, timeout=5) == "in time"


async def test_cancellation_is_not_answered_by_a_default(substitutes: Substitutes, seen: list[Event]) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(safe_async_call(hang(), None, name="hint", substitutes=substitutes, timeout=30))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == []


async def test_what_is_remembered_is_remembered_for_the_next_request(
    substitutes: Substitutes, seen: list[Event]
) -> None:
    error = FallbackChainExhaustedError()
    await substitutes.last_good("rates", 60, max_entries=10).call("eur", gives("good"))
    answer = await substitutes.last_good("rates", 60, max_entries=10).call("eur", fails(error))
    assert isinstance(answer, Answer)
    assert answer.value == "good"
    assert answer.age is not None
    assert seen == [FallbackUsed("rates", "stale", error)]
    with pytest.raises(FallbackChainExhaustedError):
        await substitutes.last_good("other", 60, max_entries=10).call("eur", fails(error))


async def test_a_chain_of_nothing_is_a_bug(chain: FallbackChain) -> None:
    with pytest.raises(ValueError, match="rates"):
        await chain.execute({})


class Tracked:
    """What a failed function holds."""


async def test_what_a_failed_way_held_is_free_at_once() -> None:
    chain = FallbackChain("rates", Substitutes(ErrorClassifier(), lambda _: None))
    gone: list[weakref.ref[Tracked]] = []

    async def holding() -> str:
        held = Tracked()
        gone.append(weakref.ref(held))
        raise ServiceUnavailableError("ledger")

    gc.disable()
    try:
        await chain.execute({"best": holding, "plain": gives("old")})
        with suppress(FallbackChainExhaustedError):
            await chain.execute({"best": holding, "plain": holding})
        assert [ref() for ref in gone] == [None, None, None]
    finally:
        gc.enable()
