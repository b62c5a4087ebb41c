"""The last good answer stands in for a new one, but not for everything, and not for ever."""

import pytest

from tests.subject import (
    Answer,
    ApplicationError,
    CircuitBreakerOpenError,
    ErrorClassifier,
    Event,
    Events,
    FallbackUsed,
    IsolatedError,
    NotFoundError,
    OperationTimeoutError,
    OverloadedError,
    ServiceUnavailableError,
    StaleIfError,
    Substitutes,
)
from tests.support.clock import Clock


@pytest.fixture
def stale(clock: Clock, seen: list[Event]) -> StaleIfError:
    return StaleIfError(
        "stock", 60.0, substitutes=Substitutes(ErrorClassifier(), seen.append), max_entries=2, clock=clock
    )


async def good() -> str:
    return "good"


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailableError("stock"),
        OperationTimeoutError("stock", 1),
        CircuitBreakerOpenError("stock"),
        OverloadedError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_old_answer_is_better_than_none(
    stale: StaleIfError, clock: Clock, seen: list[Event], error: Exception
) -> None:
    async def bad() -> str:
        raise error

    with pytest.raises(type(error)):
        await stale.call("A-1", bad)
    assert await stale.call("A-1", good) == Answer("good", None)
    clock.pass_(7)
    assert await stale.call("A-1", bad) == Answer("good", 7.0)
    assert seen == [FallbackUsed("stock", "stale", error)]
    with pytest.raises(type(error)):
        await stale.call("A-2", bad)


@pytest.mark.parametrize(
    "error",
    [NotFoundError("Product", "A-1"), ValueError("a bug"), ApplicationError("unknown"), IsolatedError("stock")],
    ids=lambda error: type(error).__name__,
)
async def test_what_an_old_answer_must_not_hide(stale: StaleIfError, seen: list[Event], error: Exception) -> None:
    async def bad() -> str:
        raise error

    await stale.call("A-1", good)
    with pytest.raises(type(error)):
        await stale.call("A-1", bad)
    assert seen == []


async def bad() -> str:
    raise ServiceUnavailableError("stock")


async def test_an_answer_that_is_too_old_is_none(stale: StaleIfError, clock: Clock) -> None:
    await stale.call("A-1", good)
    clock.pass_(60)
    assert (await stale.call("A-1", bad)).age == 60.0
    clock.pass_(0.1)
    with pytest.raises(ServiceUnavailableError):
        await stale.call("A-1", bad)


async def test_what_is_gone_is_not_kept(stale: StaleIfError) -> None:
    async def gone() -> str:
        raise NotFoundError("Product", "A-1")

    await stale.call("A-1", good)
    with pytest.raises(NotFoundError):
        await stale.call("A-1", gone)
    with pytest.raises(ServiceUnavailableError):
        await stale.call("A-1", bad)


async def test_never_means_never(clock: Clock) -> None:
    stale = StaleIfError("stock", 0.0, substitutes=Substitutes(ErrorClassifier(), Events()), clock=clock)
    await stale.call("A-1", good)
    with pytest.raises(ServiceUnavailableError):
        await stale.call("A-1", bad)


async def test_only_so_many_are_kept(stale: StaleIfError) -> None:
    for key in ("A-1", "A-2", "A-1", "A-3"):
        await stale.call(key, good)
    assert await stale.call("A-1", bad) == Answer("good", 0.0)
    with pytest.raises(ServiceUnavailableError):
        await stale.call("A-2", bad)
