"""`GET /metrics`."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """The metrics of this process, for Prometheus to scrape."""
    request.app.state.finished.hand_on()
    # Rendering many series takes a while, which the event loop may not spend; nor may it wait for the threads that
    # endpoints take, for what is slow must be seen.
    exposition = await asyncio.to_thread(request.app.state.metrics.exposition)
    return Response(exposition, media_type=CONTENT_TYPE_LATEST)
