"""Refuse request bodies that turn out to be too large; admission.py refuses those that are announced to be."""

from starlette.types import Message, Receive

from .admission import too_large


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
