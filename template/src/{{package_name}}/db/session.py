"""The session of a request: `async def create(session: Session) -> …`."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from .errors import database_errors


async def database_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction around the endpoint: committed before the answer is sent, rolled back on whatever is raised.

    With FastAPI's default scope the commit would run after the answer: a failing one would still be a 200. What the
    endpoint raises keeps its own status. Returning a response counts as success and commits, whatever its status.
    A streaming body runs after this transaction has ended and opens a session of its own.
    """
    async with database_errors(), request.state.sessions() as session:
        try:
            yield session
            await session.commit()
        except BaseException:  # Cancellation too: half of the work must not stay.
            await session.rollback()
            raise


Session = Annotated[AsyncSession, Depends(database_session, scope="function")]
