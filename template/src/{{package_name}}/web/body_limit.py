"""Refuse request bodies that are too large, announced or not."""

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive


def too_large() -> HTTPException:
    """The refusal. An HTTPException, because FastAPI turns any other failure to read a body into a 400."""
    return HTTPException(413)


def limit_body(receive: Receive, limit: int) -> Receive:
    """Wrap `receive` for a body of unannounced length.

    Raises:
        HTTPException: 413, from the wrapped callable, once more than `limit` bytes have come.
    """
    total = 0

    async def limited() -> Message:
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                raise too_large()
        return message

    return limited
