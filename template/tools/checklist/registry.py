"""The checks, by the name of the item that each of them shows."""

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent


class BrokenError(Exception):
    """An item does not hold; the text says what was seen."""


class NotRunError(Exception):
    """What a check needs is not here; the text says what that is."""


Check = Callable[[Any], Awaitable[str]]
"""Gets the running service; returns what it has seen, in a few words."""

CHECKS: dict[str, Check] = {}

C = TypeVar("C", bound=Check)


def shows(item: str) -> Callable[[C], C]:
    """Decorate the check of `item`."""

    def register(check: C) -> C:
        CHECKS[item] = check
        return check

    return register


def expect(holds: object, otherwise: str) -> None:
    """Go on if it holds.

    Raises:
        BrokenError: it does not.
    """
    if not holds:
        raise BrokenError(otherwise)


def find_checks() -> list[str]:
    """Import every module below `checks/`; what cannot be imported, in sentences."""
    problems = []
    for path in sorted((HERE / "checks").glob("[a-z]*.py")):
        try:
            importlib.import_module(f"tools.checklist.checks.{path.stem}")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the service, the list is printed
            problems.append(f"{path.name} cannot be imported: {type(error).__name__}: {error}")
    return problems
