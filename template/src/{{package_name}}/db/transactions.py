"""Whole transactions, run again from the start where the database had to undo one of two that got in each other's way.

`Session` (session.py) is one transaction around an endpoint, and cannot run that again. Whoever changes what others may
change at the same time does it in a function, and gives that to `Transactions.run`.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tenacity import retry_if_exception, stop_after_attempt, wait_random_exponential

from ..resilience.budget import RetryBudget
from ..resilience.deadline import time_left
from ..resilience.events import Event
from ..resilience.retry import Retrier, call_state, set_failure
from .dialect import WRITING
from .errors import database_errors, lost_a_race

T = TypeVar("T")

MOST_ATTEMPTS = 4
LONGEST_SECONDS = 5.0
"""From the first attempt to the start of the last one."""


class Transactions:
    """Runs transactions for the whole app.

    Args:
        sessions: makes the session of each attempt.
        events: learns of each retry, under the name `database`.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        events: Callable[[Event], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._sessions = sessions
        self._budget = RetryBudget()
        self._retrier = Retrier(
            name="database",
            stop=stop_after_attempt(MOST_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.01, max=0.2),
            when=retry_if_exception(lost_a_race),
            budget=self._budget,
            events=events,
            sleep=sleep,
        )

    async def run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Commit what `work` does, and return what it returns; on whatever it raises, nothing of it stays.

        It may be called several times, with a new session each time, so it must not do anything else that counts. Only
        a deadlock and a serialization failure lead to that: then the database is certain to have undone everything. A
        connection lost during the commit is not tried again, as nobody knows what has become of it.

        Raises:
            ServiceUnavailableError: the database cannot do it now.
            ConflictError, UnprocessableError: a constraint forbids it.
        """
        begin = time.monotonic()
        self._budget.calls += 1
        try:
            return await self._once(work)
        except Exception as error:  # noqa: BLE001 - the retrier raises it unless it is worth another attempt
            first = call_state(begin)
            set_failure(first, error)
        return await self._retrier.go_on(first, lambda _: self._once(work), begin + time_left(LONGEST_SECONDS))

    async def _once(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async with database_errors(), self._sessions() as session, session.begin():
            await session.connection(execution_options=WRITING)
            return await work(session)
