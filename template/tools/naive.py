"""The same endpoint as tutorials write it, on plain tenacity and pybreaker: what `make drill` shows beside the service.

It is here to be compared with, not to be copied. pybreaker takes the making of a coroutine for a success and never opens;
a read timeout bounds each read, not the answer; every caller tries three times, whatever all others do. With the two
decorators the other way round it would not even do that: tenacity would take the coroutine for a result.

Usage: python -m tools.naive PORT UPSTREAM_URL
"""

import sys
from typing import Any

import httpx
import pybreaker
import uvicorn
from fastapi import FastAPI
from tenacity import retry, stop_after_attempt, wait_exponential

ROUTE = "/availability/{sku}"

READ_TIMEOUT = 5.0
"""Seconds, as httpx has it by default."""


def create_app(upstream: str) -> FastAPI:
    """The service of a tutorial, in front of the upstream at that URL."""
    app = FastAPI()
    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=5)
    client = httpx.AsyncClient(base_url=upstream, timeout=READ_TIMEOUT, trust_env=False)

    @breaker
    @retry(stop=stop_after_attempt(3), wait=wait_exponential())
    async def fetch(sku: str) -> Any:
        response = await client.get(f"/stock/{sku}")
        response.raise_for_status()
        return response.json()

    @app.get("/livez")
    async def livez() -> str:
        return "ok"

    @app.get(ROUTE)
    async def availability(sku: str) -> Any:
        return await fetch(sku)

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[2]), port=int(sys.argv[1]), log_config=None, timeout_graceful_shutdown=1)
