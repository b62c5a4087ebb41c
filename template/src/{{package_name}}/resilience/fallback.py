"""Go on with something else where an operation fails: another function, the next of several, or a default.

The result tells which one answered, and each use is counted and logged. What a substitute cannot make up for passes as
it is, and so does cancellation: substitutes.py, which also has the fallback to an older answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..errors.hierarchy import ApplicationError, FallbackChainExhaustedError, FallbackError
from .substitutes import Substitutes
from .timeout import time_limit

T = TypeVar("T")
D = TypeVar("D")

PRIMARY, FALLBACK, DEFAULT = "primary", "fallback", "default"


class Choice(NamedTuple, Generic[T]):
    """A value, and the name of the alternative that gave it."""

    value: T
    by: str


class FallbackChain:
    """Several ways to the same end, from the best to the last resort.

    Args:
        name: of the operation, in the log and in events.
        substitutes: decide what the next way may stand in for.
    """

    def __init__(self, name: str, substitutes: Substitutes) -> None:
        self._name = name
        self._substitutes = substitutes

    async def execute(self, alternatives: Mapping[str, Callable[[], Awaitable[T]]]) -> Choice[T]:
        """The result of the first of the `alternatives` that has one, with its name.

        Raises:
            FallbackChainExhaustedError: all have failed.
            ValueError: there are no alternatives.
            Exception: what one of them raised, where nothing may stand in for it.
        """
        if not alternatives:
            raise ValueError(f"The chain {self._name!r} has no alternatives")
        return await self._first_of(list(alternatives.items()), {})

    async def _first_of(
        self, ways: Sequence[tuple[str, Callable[[], Awaitable[T]]]], failures: dict[str, Exception]
    ) -> Choice[T]:
        (name, function), *others = ways
        try:
            choice = Choice(await function(), name)
        except Exception as error:
            if not self._substitutes.may_replace(error):
                raise
            failures[name] = error
            if not others:
                raise self._exhausted(_taken(failures)) from error
            # Inside of the except: whatever the others raise has this failure as its context in the log.
            return await self._first_of(others, failures)
        if failures:
            _, last = _taken(failures).popitem()
            self._substitutes.used(self._name, name, last)
        return choice

    def _exhausted(self, failures: Mapping[str, Exception]) -> ApplicationError:
        return FallbackChainExhaustedError(
            last_error=list(failures.values())[-1],
            retry_after=_retry_after(*failures.values()),
            operation=self._name,
            failures={name: type(error).__name__ for name, error in failures.items()},
        )


class FallbackHandler(FallbackChain):
    """A chain of two: a function, and another one to call if it fails."""

    async def execute_with_fallback(
        self, primary_func: Callable[[], Awaitable[T]], fallback_func: Callable[[], Awaitable[D]]
    ) -> Choice[T | D]:
        """The result of `await primary_func()`, by `primary`; that of `fallback_func`, by `fallback`, if it fails.

        Raises:
            FallbackError: both have failed.
            Exception: what either raised, where nothing may stand in for it.
        """
        ways: dict[str, Callable[[], Awaitable[T | D]]] = {PRIMARY: primary_func, FALLBACK: fallback_func}
        return await self.execute(ways)

    def _exhausted(self, failures: Mapping[str, Exception]) -> ApplicationError:
        primary_error, fallback_error = failures.values()
        return FallbackError(
            primary_error=primary_error,
            fallback_error=fallback_error,
            retry_after=_retry_after(primary_error, fallback_error),
            operation=self._name,
        )


async def safe_async_call(
    awaitable: Awaitable[T],
    default: D,
    *,
    name: str,
    substitutes: Substitutes,
    timeout: float | None = None,  # noqa: ASYNC109 - to wait with a timeout is a part of what it is for
) -> T | D:
    """The result of `awaitable`, or `default` if it fails or takes longer than `timeout` seconds.

    For what an answer can do without: a count, a hint, a picture.

    Args:
        name: of what is left out, in the log and in events.
        substitutes: decide what the default may stand in for.

    Raises:
        Exception: what `awaitable` raised, where nothing may stand in for it.
    """
    try:
        if timeout is None:
            return await awaitable
        async with time_limit(name, timeout):
            return await awaitable
    except Exception as error:
        if not substitutes.may_replace(error):
            raise
        substitutes.used(name, DEFAULT, error)
        return default


def _taken(failures: dict[str, Exception]) -> dict[str, Exception]:
    """All of them; left where they are they would hold on to a frame, and through it to themselves."""
    taken = failures.copy()
    failures.clear()
    return taken


def _retry_after(*errors: Exception) -> float | None:
    """Seconds until the first of what failed may work again, as far as the errors tell."""
    known = [error.retry_after for error in errors if isinstance(error, ApplicationError)]
    return min((seconds for seconds in known if seconds is not None), default=None)
