"""`Idempotency-Key`: a request that comes twice is done once, and answered twice with the same.

A key belongs to a caller, a route and a body. What it has led to is stored in the same transaction as the order, so no
crash can come between the two. Before that the key is claimed, in a transaction of its own: a second request learns at
once that the first one is being worked on, and no connection waits for anybody.

A claim ends with the request that has made it, at the latest with its deadline. If two worked on one key all the same,
the one that has lost it stores nothing.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy import String, Text, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..db.base import Base
from ..db.transactions import Transactions
from ..errors.hierarchy import ConflictError, UnprocessableError
from ..resilience.deadline import time_left

KEPT_SECONDS = 24 * 3600.0
"""How long an answer is given again; after that, the key is as good as new."""

LONGEST_CLAIM, MARGIN = 60.0, 5.0
"""Seconds of a claim without a deadline, and after one."""

RELEASE_SECONDS = 1.0
"""For giving a claim up; if that does not work, it ends by itself."""

CLEARED = 10
"""Expired keys that go when a new one comes: more than come, so they cannot pile up."""

IdempotencyKey = Annotated[
    str | None, Header(pattern=r"^[!-~]{1,255}$", description="Names this request: sent again, it is not done again.")
]


class RememberedRequest(Base):
    """A request that came with a key; `answer` is null as long as it is being worked on, by `owner`."""

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(32))
    answer: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[float] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a request.

    Args:
        answer: what it was answered with before, if it was; then there is nothing to work on.
        scope: what the key stands for; None for a request without one.
        owner: whose the claim is.
        kept_until: when an answer is forgotten.
    """

    answer: str | None = None
    scope: str | None = None
    owner: str = ""
    kept_until: float = 0.0

    async def keep(self, session: AsyncSession, answer: str) -> None:
        """Store `answer`, if the transaction stays.

        Raises:
            ConflictError: the claim was lost to another request.
        """
        if self.scope is None:
            return
        ours = RememberedRequest.scope == self.scope, RememberedRequest.owner == self.owner
        change = update(RememberedRequest).where(*ours).values(answer=answer, expires_at=self.kept_until)
        if (await session.execute(change.returning(RememberedRequest.scope))).first() is None:
            raise in_progress()

    async def release(self, session: AsyncSession) -> None:
        """Give it up; an answer that was stored stays, even if we were told that it was not."""
        ours = RememberedRequest.scope == self.scope, RememberedRequest.owner == self.owner
        await session.execute(delete(RememberedRequest).where(*ours, RememberedRequest.answer.is_(None)))


class IdempotencyKeys:
    """The keys of one caller for one route.

    Args:
        transactions: of the app.
        caller: who asks.
        route: what for.
        now: seconds since 1970, as all replicas know them.
    """

    def __init__(
        self, transactions: Transactions, caller: str, route: str, now: Callable[[], float] = time.time
    ) -> None:
        self._transactions = transactions
        self._caller = caller
        self._route = route
        self._now = now

    @asynccontextmanager
    async def claimed(self, key: str | None, body: BaseModel) -> AsyncIterator[Claim]:
        """Work on the request with this `key` and `body` inside; on whatever is raised there, the key is free again.

        Raises:
            UnprocessableError: it came with another body before.
            ConflictError: somebody else is working on it.
        """
        if key is None:
            yield Claim()
            return
        claim = await self._claim(_hash(self._caller, self._route, key), _hash(body.model_dump_json()))
        try:
            yield claim
        except BaseException:
            await self._release(claim)
            raise

    async def _claim(self, scope: str, body_hash: str) -> Claim:
        now = self._now()
        claim = Claim(scope=scope, owner=uuid4().hex, kept_until=now + KEPT_SECONDS)

        async def take(session: AsyncSession) -> None:
            of_key, expired = RememberedRequest.scope == scope, RememberedRequest.expires_at <= now
            await session.execute(delete(RememberedRequest).where(of_key, expired))
            ends = now + time_left(LONGEST_CLAIM) + MARGIN
            new = insert(RememberedRequest).values(scope=scope, body_hash=body_hash, owner=claim.owner, expires_at=ends)
            await session.execute(new)
            # Last, and of those that nobody else has: whoever waits here for another one could meet him waiting for us.
            others = select(RememberedRequest.scope).where(~of_key, expired).limit(CLEARED)
            unlocked = others.with_for_update(skip_locked=True)
            await session.execute(delete(RememberedRequest).where(RememberedRequest.scope.in_(unlocked)))

        try:
            await self._transactions.run(take)
        except ConflictError:
            known = await self._transactions.run(lambda session: session.get(RememberedRequest, scope))
        except asyncio.CancelledError:
            await self._release(claim)  # Whether the commit has worked by now, nobody knows.
            raise
        else:
            return claim
        if known is not None and known.body_hash != body_hash:
            raise UnprocessableError("The Idempotency-Key belongs to another request", code="idempotency_key_reused")
        if known is None or known.answer is None:  # Where there is none any more, it was given up since.
            raise in_progress()
        return Claim(known.answer)

    async def _release(self, claim: Claim) -> None:
        """Give it up, if that can be done soon: the next attempt need not wait for the end of the claim."""
        with suppress(Exception):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._transactions.run(claim.release)


def in_progress() -> ConflictError:
    """The error of a request whose twin is being worked on."""
    return ConflictError("Request", code="request_in_progress", retry_after=1.0)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def idempotency_keys(request: Request) -> IdempotencyKeys:
    """The keys for this request. Its credentials tell callers apart; once you know who they are, take that instead, for
    a token that is renewed makes another caller.
    """
    caller = request.headers.get("authorization", "")
    return IdempotencyKeys(request.state.transactions, caller, f"{request.method} {request.url.path}")
