"""An exception is described with all that helps, and nothing that was filled in."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.subject import MOST_FRAMES, ServiceUnavailableError, describe_exception, exceptions
from tests.support.failing import SECRET


def _caught(fail: Callable[[], object]) -> BaseException:
    try:
        fail()
    except BaseException as error:  # noqa: BLE001 - the test looks at whatever it is
        return error
    raise AssertionError("nothing was raised")


def test_constants_are_kept_and_values_are_not() -> None:
    def fail() -> None:
        user, row = "canary-user", ("canary-row", 42)
        raise RuntimeError(f"no balance for {user}, last row was {row}")

    described = describe_exception(_caught(fail))
    assert described["type"] == "RuntimeError"
    assert described["message"] == "no balance for …, last row was …"
    assert "canary" not in str(described)


def test_the_longest_constant_is_taken() -> None:
    def fail(user: str = "canary") -> None:
        raise LookupError(f"no row for user {user}" if user else "no row ")

    assert describe_exception(_caught(fail))["message"] == "no row for user …"


def test_text_of_the_interpreter_is_dropped_for_it_quotes() -> None:
    assert describe_exception(_caught(lambda: int(SECRET)))["message"] == "…"
    assert describe_exception(_caught(lambda: {"known": 1}[SECRET]))["message"] == "…"


def test_our_own_messages_are_kept() -> None:
    described = describe_exception(ServiceUnavailableError("ledger"))
    assert described["message"] == "Service 'ledger' is temporarily unavailable"
    assert described["stack"] == ()


def test_the_stack_names_places_without_source_text() -> None:
    def fail() -> None:
        raise RuntimeError("canary")  # canary

    *_, innermost = describe_exception(_caught(fail))["stack"]
    assert "test_exceptions.py:" in innermost
    assert innermost.endswith("in test_the_stack_names_places_without_source_text.<locals>.fail")


def test_causes_contexts_and_groups_are_followed() -> None:
    def fail() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise OSError("second") from error
        except OSError:
            raise ExceptionGroup("third", [ValueError("member")])  # noqa: B904 - the context is the subject

    described = describe_exception(_caught(fail))
    assert described["type"] == "ExceptionGroup"
    assert [cause["type"] for cause in described["causes"]] == ["ValueError", "OSError", "KeyError"]


def test_a_suppressed_context_stays_out() -> None:
    def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise OSError("second") from None

    assert describe_exception(_caught(fail))["causes"] == []


def test_an_exception_that_cannot_be_printed() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("canary")

    assert describe_exception(SilentError())["message"] == "…"


def test_endless_recursion_and_circles_end() -> None:
    def fail() -> None:
        fail()

    assert len(describe_exception(_caught(fail))["stack"]) == MOST_FRAMES + 1
    first, second = OSError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert len(describe_exception(first)["causes"]) == 1


def test_frames_of_equal_functions_name_their_own_file() -> None:
    source = "def load():\n    raise LookupError\n"
    for file in ("one.py", "other.py"):
        names: dict[str, Any] = {}
        exec(compile(source, file, "exec"), names)
        with pytest.raises(LookupError) as raised:
            names["load"]()
        assert describe_exception(raised.value)["stack"][-1] == f"{file}:2 in load"


def _fail() -> None:
    raise LookupError("no such shelf")


def test_code_that_takes_the_place_of_other_code_is_told_from_it() -> None:
    for number in range(100):
        names: dict[str, Any] = {}
        exec(compile("def call(fail):\n    fail()\n", f"{number}.py", "exec"), names)
        described = describe_exception(_caught(partial(names["call"], _fail)))
        assert described["stack"][-2] == f"{number}.py:2 in call"


def test_so_many_places_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exceptions, "MOST_PLACES", 500)

    def fall(depth: int) -> None:
        if depth:
            fall(depth - 1)
        raise LookupError

    for depth in range(100):
        describe_exception(_caught(partial(fall, depth)))
        assert sum(map(len, exceptions._stacks)) <= 1000


def test_a_secret_among_the_constants_is_masked() -> None:
    def fail() -> None:
        raise ValueError("the password=hunter2 is wrong")

    assert describe_exception(_caught(fail))["message"] == "the password=*** is wrong"
