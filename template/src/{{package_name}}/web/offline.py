"""Refuse every request while the service is held offline, except those that ask how it is."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors.hierarchy import ServiceUnavailableError
from ..resilience.degradation import Degradation, ServiceLevel

RETRY_AFTER_SECONDS = 30.0
"""Somebody has to end it, so there is no hurry."""


def while_on_offer(app: ASGIApp, degradation: Degradation, always_served: Callable[[Scope], bool]) -> ASGIApp:
    """Wrap `app` so that it is reached unless the level is OFFLINE.

    Around the application, not a dependency of its routers: a router that is added later cannot be forgotten, and what is
    refused costs next to nothing.

    Args:
        app: serves everything.
        degradation: knows the level.
        always_served: whether a request is answered at every level.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if degradation.level is ServiceLevel.OFFLINE and scope["type"] != "lifespan" and not always_served(scope):
            raise ServiceUnavailableError("api", retry_after=RETRY_AFTER_SECONDS, level=ServiceLevel.OFFLINE.value)
        await app(scope, receive, send)

    return serve
