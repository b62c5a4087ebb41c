"""`GET /metrics`."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

router = APIRouter()


# Not async: rendering many series takes a while, which a worker thread may spend and the event loop may not.
@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """The metrics of this process, for Prometheus to scrape."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
