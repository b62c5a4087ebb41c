"""Substitutes in the log: what was missing and why, and no stack where the class says it all."""

from tests.subject import LOGGED, CallRetried, CircuitBreakerOpenError, Events, FallbackUsed, OperationTimeoutError
from tests.support.logs import LogLines


def test_an_error_of_ours_needs_no_stack(logs: LogLines) -> None:
    slow = OperationTimeoutError("ledger", 1)
    slow.__cause__ = TimeoutError()
    for error in (CircuitBreakerOpenError("ledger"), slow):
        Events(LOGGED)(FallbackUsed("rates", "stale", error))
    refused, late = logs.of_level("warning")
    assert (refused["event"], refused["name"], refused["kind"]) == ("fallback used", "rates", "stale")
    assert (refused["error_type"], refused["cause_type"]) == ("CircuitBreakerOpenError", None)
    assert (late["error_type"], late["cause_type"]) == ("OperationTimeoutError", "TimeoutError")
    assert "exception" not in refused
    assert "exception" not in late


def test_the_statistics_of_a_retried_call(logs: LogLines) -> None:
    Events(LOGGED)(CallRetried("ledger", "success", 3, 0.25))
    [line] = logs.of_level("info")
    assert (line["event"], line["upstream"], line["outcome"]) == ("retried call finished", "ledger", "success")
    assert (line["attempts"], line["waited_ms"]) == (3, 250.0)


def test_a_foreign_error_has_its_stack(logs: LogLines) -> None:
    try:
        raise ConnectionResetError("canary-4f9d2c71")
    except ConnectionResetError as error:
        Events(LOGGED)(FallbackUsed("rates", "default", error))
    [line] = logs.of_level("warning")
    assert (line["error_type"], line["exception"]["type"]) == ("ConnectionResetError", "ConnectionResetError")
    assert line["exception"]["stack"]
    assert "canary" not in logs.getvalue()
