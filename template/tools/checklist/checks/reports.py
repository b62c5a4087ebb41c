"""What the service tells of errors by itself, without anybody who collects numbers."""

from tools.checklist.checks.upstreams import open_all
from tools.checklist.registry import expect, shows
from tools.checklist.service import Service


@shows("error counts")
async def errors(service: Service) -> str:
    """A failing request raises the share of errors, and a good one lowers it."""
    rates = []
    for path in ("/checklist/quote", "/checklist/slow?seconds=0"):
        await service.client.get(path)
        rates.append((await service.report())["error_rates"]["last_hour"])
    expect(None not in rates, "nobody counts: ERROR_HANDLING_ENABLE_ERROR_METRICS is false")
    expect(rates[0] > rates[1] > 0, f"a good answer moves the share from {rates[0]} to {rates[1]}")
    return "the share of the last hour follows"


@shows("circuit breakers, watched")
async def breakers(service: Service) -> str:
    """Each tells in the log that it opens and closes."""
    return f"{', '.join(await open_all(service))}: changes in the log"
