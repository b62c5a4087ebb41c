"""The same error again and again is described briefly; anything new in full, whatever else is going on."""

from collections.abc import Callable
from functools import partial

import httpx
import pytest

from tests.subject import StackLimit, stack_limit
from tests.support.clock import Clock
from tests.support.logs import LogLines

MOST, SECONDS = stack_limit.MOST_STACKS, stack_limit.SECONDS


def _fail(depth: int = 0, kind: type[Exception] = LookupError) -> None:
    if depth < 0:
        raise kind("no such shelf")
    if depth:
        _fail(depth - 1, kind)
    raise kind("no such shelf")


def _with_cause(fail: Callable[[], None]) -> None:
    try:
        fail()
    except Exception as error:
        raise RuntimeError("no answer") from error


def _caught(fail: Callable[[], None]) -> Exception:
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - the test looks at whatever it is
        return error
    raise AssertionError("nothing was raised")


def _is_full(limit: StackLimit, fail: Callable[[], None]) -> bool:
    return "repeated" not in limit.describe(_caught(fail))


def test_the_first_of_a_kind_are_described_in_full_and_the_others_counted() -> None:
    limit = StackLimit(Clock())
    described = [limit.describe(_caught(_fail)) for _ in range(MOST + 3)]
    assert [one.get("repeated") for one in described] == [None] * MOST + [MOST, MOST + 1, MOST + 2]
    first, last = described[0], described[-1]
    assert (last["type"], last["message"], last["causes"]) == ("LookupError", "no such shelf", [])
    assert last["stack"] == first["stack"][-1:] != first["stack"]


def test_after_a_while_it_is_told_anew() -> None:
    limit = StackLimit(clock := Clock())
    for _ in range(3):
        assert [_is_full(limit, _fail) for _ in range(MOST + 1)] == [True] * MOST + [False]
        clock.pass_(SECONDS - 0.1)
        assert not _is_full(limit, _fail)
        clock.pass_(0.1)


@pytest.mark.parametrize(
    "other",
    [
        partial(_fail, kind=KeyError),
        partial(_fail, -1),  # The same function, another line.
        lambda: _fail(),  # By another place, and all the rest the same.
        partial(_with_cause, _fail),
    ],
)
def test_a_new_error_is_described_in_full(other: Callable[[], None]) -> None:
    limit = StackLimit(Clock())
    while _is_full(limit, _fail):
        pass
    assert _is_full(limit, other)


def test_a_new_cause_makes_a_new_error() -> None:
    limit = StackLimit(Clock())
    known, new = (partial(_with_cause, partial(_fail, kind=kind)) for kind in (KeyError, OSError))
    while _is_full(limit, known):
        pass
    assert _is_full(limit, new)


@pytest.mark.parametrize("depths", [range(2, 40), range(60, 100)])
def test_the_depth_of_a_recursion_makes_none(depths: range) -> None:
    limit = StackLimit(Clock())
    assert sum(_is_full(limit, partial(_fail, depth)) for depth in depths) == MOST


def test_kinds_without_number_do_not_fill_the_memory() -> None:
    limit = StackLimit(Clock())
    for number in range(2 * stack_limit.MOST_KINDS):
        assert _is_full(limit, partial(_fail, kind=type(f"Error{number}", (Exception,), {})))
        assert len(limit._counts) <= stack_limit.MOST_KINDS


async def test_a_flood_keeps_its_lines_and_loses_its_stacks(failing_client: httpx.AsyncClient, logs: LogLines) -> None:
    for _ in range(MOST + 20):
        assert (await failing_client.get("/fail/endpoint")).status_code == 500
    assert len(logs.access(MOST + 20)) == MOST + 20
    records = logs.of_level("error")
    assert [len(one["exception"]["causes"]) for one in records] == [1] * MOST + [0] * 20
    assert {(one["error_type"], one["exception"]["message"]) for one in records} == {("RuntimeError", "cannot use …")}
    await failing_client.get("/fail/dependency")
    assert "repeated" not in logs.of_level("error")[-1]["exception"]
