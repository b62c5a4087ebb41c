"""`GET /metrics`, and what is measured as long as the service runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from .loop_lag import watch_loop


@asynccontextmanager
async def _watching(app: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(watch_loop(app.state.metrics.event_loop_lag.set))
    try:
        yield
    finally:
        task.cancel()


router = APIRouter(lifespan=_watching)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """The metrics of this process, for Prometheus to scrape."""
    request.app.state.finished.hand_on()
    # Rendering many series takes a while, which the event loop may not spend; nor may it wait for the threads that
    # endpoints take, for what is slow must be seen.
    exposition = await asyncio.to_thread(request.app.state.metrics.exposition)
    return Response(exposition, media_type=CONTENT_TYPE_LATEST)
