"""Features fail, are off, and come back by themselves; the level tells how much is on offer."""

import asyncio
from typing import Any

import pytest

from tests.subject import (
    BreakerAdded,
    BreakerChanged,
    CircuitBreakerOpenError,
    Deadline,
    Degradation,
    ErrorClassifier,
    Event,
    Events,
    Feature,
    LevelChanged,
    OperationTimeoutError,
    ServiceLevel,
    ServiceUnavailableError,
    Substitutes,
    current_deadline,
    with_timeout,
)
from tests.support.clock import Clock

HINTS = Feature(name="hints", lowest=ServiceLevel.FULL, recovery_timeout=10)
PICTURES = Feature(name="pictures", lowest=ServiceLevel.DEGRADED, recovery_timeout=20)
FULL, DEGRADED, MINIMAL, OFFLINE = ServiceLevel


def make(seen: list[Event], clock: Clock, level: str = "auto") -> Degradation:
    is_failure = Substitutes(ErrorClassifier(), Events()).may_replace
    made = Degradation([HINTS, PICTURES], is_failure=is_failure, events=seen.append, level=level, clock=clock)
    seen[:] = [event for event in seen if not isinstance(event, BreakerAdded)]
    return made


@pytest.fixture
def degradation(seen: list[Event], clock: Clock) -> Degradation:
    return make(seen, clock)


async def good() -> str:
    return "good"


async def bad() -> str:
    raise ServiceUnavailableError("elsewhere")


async def never() -> str:
    raise AssertionError("it should be off")


async def fail(degradation: Degradation, feature: Feature) -> None:
    with pytest.raises(ServiceUnavailableError):
        await degradation.breaker(feature).call(bad)


def levels(seen: list[Event]) -> list[tuple[str, str]]:
    return [(event.old, event.new) for event in seen if isinstance(event, LevelChanged)]


async def test_all_is_on_as_long_as_all_works(degradation: Degradation, seen: list[Event]) -> None:
    assert await degradation.breaker(HINTS).call(good) == "good"
    assert degradation.level is FULL
    assert seen == []


async def test_one_failure_turns_a_feature_off_and_leaves_the_others_on(degradation: Degradation) -> None:
    await fail(degradation, HINTS)
    assert degradation.level is DEGRADED
    with pytest.raises(CircuitBreakerOpenError) as off:
        await degradation.breaker(HINTS).call(never)
    assert off.value.headers == {"Retry-After": "10"}
    assert await degradation.breaker(PICTURES).call(good) == "good"


async def test_it_comes_back_by_a_call_that_tries_it(degradation: Degradation, clock: Clock, seen: list[Event]) -> None:
    await fail(degradation, HINTS)
    clock.pass_(10)
    await fail(degradation, HINTS)
    clock.pass_(9.9)
    with pytest.raises(CircuitBreakerOpenError):
        await degradation.breaker(HINTS).call(never)
    clock.pass_(0.1)
    assert await degradation.breaker(HINTS).call(good) == "good"
    assert degradation.level is FULL
    assert levels(seen) == [("full", "degraded"), ("degraded", "full")]
    # Told after the change that caused it.
    assert [type(event) for event in seen[:2]] == [BreakerChanged, LevelChanged]


async def test_one_call_at_a_time_tries_it(degradation: Degradation, clock: Clock) -> None:
    await fail(degradation, HINTS)
    clock.pass_(10)
    release = asyncio.Event()

    async def wait() -> str:
        await release.wait()
        return "good"

    trial = asyncio.create_task(degradation.breaker(HINTS).call(wait))
    await asyncio.sleep(0)
    assert degradation.level is DEGRADED
    with pytest.raises(CircuitBreakerOpenError):
        await degradation.breaker(HINTS).call(never)
    release.set()
    assert await trial == "good"
    assert degradation.level is FULL


async def test_a_bug_and_a_cancellation_turn_nothing_off(degradation: Degradation) -> None:
    async def bug() -> None:
        raise ValueError("a bug")

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ValueError, match="a bug"):
        await degradation.breaker(HINTS).call(bug)
    with pytest.raises(asyncio.CancelledError):
        await degradation.breaker(HINTS).call(cancelled)
    assert degradation.level is FULL


async def test_a_caller_that_waits_for_less_than_we_do_turns_nothing_off(degradation: Degradation) -> None:
    token = current_deadline.set(Deadline.after(0.02, caller_waits=0.02))
    with pytest.raises(OperationTimeoutError):
        await degradation.breaker(HINTS).call(lambda: with_timeout(asyncio.sleep(5), 60))
    current_deadline.reset(token)
    assert degradation.level is FULL


async def test_the_level_is_the_highest_one_at_which_everything_works(
    degradation: Degradation, clock: Clock, seen: list[Event]
) -> None:
    await fail(degradation, HINTS)
    await fail(degradation, PICTURES)
    assert degradation.level is MINIMAL
    clock.pass_(20)
    await degradation.breaker(PICTURES).call(good)
    assert degradation.level is DEGRADED
    await degradation.breaker(HINTS).call(good)
    assert levels(seen) == [
        ("full", "degraded"),
        ("degraded", "minimal"),
        ("minimal", "degraded"),
        ("degraded", "full"),
    ]


@pytest.mark.parametrize(
    ("level", "on"),
    [(FULL, [HINTS, PICTURES]), (DEGRADED, [PICTURES]), (MINIMAL, []), (OFFLINE, [])],
    ids=lambda value: value.value if isinstance(value, ServiceLevel) else "",
)
async def test_a_level_can_be_held_from_the_start(
    seen: list[Event], clock: Clock, level: ServiceLevel, on: list[Feature]
) -> None:
    degradation = make(seen, clock, level.value)
    assert degradation.level is level
    assert levels(seen) == ([] if level is FULL else [("full", level.value)])
    for feature in (HINTS, PICTURES):
        if feature in on:
            assert await degradation.breaker(feature).call(good) == "good"
        else:
            with pytest.raises(ServiceUnavailableError) as off:
                await degradation.breaker(feature).call(never)
            assert off.value.context == {"service_name": feature.name, "level": level.value}


async def test_a_level_that_is_held_stays_whatever_fails(seen: list[Event], clock: Clock) -> None:
    degradation = make(seen, clock, "full")
    await fail(degradation, HINTS)
    assert degradation.level is FULL
    with pytest.raises(CircuitBreakerOpenError):
        await degradation.breaker(HINTS).call(never)


async def test_there_is_a_way_down_and_a_way_back(degradation: Degradation, seen: list[Event]) -> None:
    degradation.enable_degraded_mode()
    assert await degradation.breaker(PICTURES).call(good) == "good"
    degradation.enable_minimal_mode()
    with pytest.raises(ServiceUnavailableError):
        await degradation.breaker(PICTURES).call(never)
    degradation.enable_automatic_mode()
    assert await degradation.breaker(HINTS).call(good) == "good"
    assert levels(seen) == [("full", "degraded"), ("degraded", "minimal"), ("minimal", "full")]


async def test_back_to_automatic_is_back_to_what_works(degradation: Degradation) -> None:
    degradation.pin(OFFLINE)
    await asyncio.sleep(0)
    degradation.pin(FULL)
    await fail(degradation, HINTS)
    degradation.enable_automatic_mode()
    assert degradation.level is DEGRADED


@pytest.mark.parametrize("lowest", [MINIMAL, OFFLINE])
def test_what_has_to_be_on_is_no_feature(lowest: Any) -> None:
    with pytest.raises(ValueError, match="lowest"):
        Feature(name="search", lowest=lowest)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_feature_comes_back_after_some_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match="recovery_timeout"):
        Feature(name="hints", recovery_timeout=seconds)


def test_the_name_of_a_feature_is_one_for_a_label() -> None:
    with pytest.raises(ValueError, match="name"):
        Feature(name="No Name!")


def test_without_features_all_is_on(seen: list[Event]) -> None:
    degradation = Degradation([], is_failure=lambda _: True, events=seen.append)
    assert (degradation.level, degradation.breakers, seen) == (FULL, {}, [])
