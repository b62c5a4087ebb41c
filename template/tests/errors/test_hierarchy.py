"""The hierarchy is what its tree says, and shows clients what it promises."""

import builtins
import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest

from tests.subject import ApplicationError, hierarchy

CLASSES = {
    kind.__name__: kind
    for _, kind in inspect.getmembers(hierarchy, inspect.isclass)
    if issubclass(kind, ApplicationError)
}
ERRORS: list[ApplicationError] = [
    ApplicationError("secret-1"),
    hierarchy.ValidationError("The quantity is too large", field="quantity", value="secret-1"),
    hierarchy.AuthenticationError(user="secret-1"),
    hierarchy.AuthorizationError(user="secret-1"),
    hierarchy.NotFoundError("Order", "secret-1"),
    hierarchy.ConflictError("User", "email", "secret-1"),
    hierarchy.UnprocessableError("The date is in the past", field="date", value="secret-1"),
    hierarchy.RateLimitError(client="secret-1"),
    hierarchy.OverloadedError("secret-1"),
    hierarchy.ServiceUnavailableError("secret-1"),
    hierarchy.OperationTimeoutError("secret-1", 0.5),
    hierarchy.CircuitBreakerOpenError("secret-1"),
    hierarchy.FallbackError("secret-1", primary_error=OSError("secret-1"), fallback_error=KeyError("secret-1")),
    hierarchy.FallbackChainExhaustedError("secret-1", last_error=KeyError("secret-1")),
    hierarchy.IsolatedError("secret-1", cause=KeyError("secret-1")),
]


def test_the_tree_in_the_docstring_is_the_hierarchy() -> None:
    tree = dict(re.findall(r"(\w+Error) +(\d{3})$", hierarchy.__doc__ or "", re.MULTILINE))
    assert {name: str(kind.status_code) for name, kind in CLASSES.items()} == tree


def test_the_page_on_errors_lists_every_code() -> None:
    page = Path("docs/errors.md").read_text(encoding="utf-8")
    for name, kind in CLASSES.items():
        assert f"| `{name}` | {kind.status_code} | `{kind.code}` |" in page


def test_no_class_shadows_a_builtin() -> None:
    assert not CLASSES.keys() & set(dir(builtins))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_can_be_copied_and_sent_to_another_process(error: ApplicationError) -> None:
    for twin in (copy.copy(error.enrich(note="kept")), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert (str(twin), twin.status_code, twin.to_dict()) == (str(error), error.status_code, error.to_dict())
        assert twin.context == error.context


@pytest.mark.parametrize(
    ("seconds", "header"), [(2.1, {"Retry-After": "3"}), (-3, {"Retry-After": "0"}), (float("inf"), {}), (None, {})]
)
def test_retry_after_is_a_whole_number(seconds: float | None, header: dict[str, str]) -> None:
    assert hierarchy.ServiceUnavailableError("stock", retry_after=seconds).headers == header


def test_every_class_is_tried_here() -> None:
    assert {type(error) for error in ERRORS} == set(CLASSES.values())


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_clients_see_nothing_that_is_not_public(error: ApplicationError) -> None:
    public = error.to_dict()
    assert "secret-1" not in repr(public)
    assert public["type"] == type(error).__name__
    assert public["code"] == error.code
    if error.status_code >= 500:
        assert public["message"] == type(error).public_text
        assert "context" not in public


def test_public_context_is_shown_below_500() -> None:
    assert hierarchy.ValidationError("No", field="quantity").to_dict()["context"] == {"field": "quantity"}
    assert hierarchy.ConflictError("User", "email").to_dict()["context"] == {"field": "email", "resource_type": "User"}
    assert "context" not in hierarchy.ValidationError("No").to_dict()


def test_status_code_and_context_can_be_given() -> None:
    cause = OSError()
    error = ApplicationError("Teapot", 418, code="teapot", context={"pot": 1}, cause=cause, cup=2)
    assert (error.status_code, error.code, error.context, error.cause) == (418, "teapot", {"pot": 1, "cup": 2}, cause)
    assert error.to_dict() == {"type": "ApplicationError", "code": "teapot", "message": "Teapot"}
    assert ApplicationError.status_code == 500


def test_retry_after_is_rounded_up() -> None:
    assert hierarchy.ServiceUnavailableError("ledger", retry_after=0.2).headers == {"Retry-After": "1"}
    assert hierarchy.ServiceUnavailableError("ledger").headers == {}
    assert hierarchy.OverloadedError().headers == {"Retry-After": "1"}


def test_both_errors_of_a_failed_fallback_are_kept() -> None:
    primary, fallback = OSError("a"), KeyError("b")
    error = hierarchy.FallbackError(primary_error=primary, fallback_error=fallback)
    assert (error.primary_error, error.cause) == (primary, fallback)


def test_what_the_raiser_said_stands() -> None:
    error = ApplicationError("No", sku="A-1").enrich(sku="B-2", order="o-1")
    assert error.context == {"sku": "A-1", "order": "o-1"}


def test_an_open_circuit_takes_what_every_error_takes() -> None:
    cause = KeyError()
    error = hierarchy.CircuitBreakerOpenError("ledger", cause=cause, code="mine", context={"a": 1}, b=2)
    assert (error.cause, error.code, error.context) == (cause, "mine", {"a": 1, "b": 2, "service_name": "ledger"})
    assert str(error) == str(hierarchy.CircuitBreakerOpenError("ledger")) == "Circuit breaker 'ledger' is open"
