"""Whether a request is let in: not while the service is held offline, not one too many, not with too large a body."""

from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.types import Scope

from ..errors.hierarchy import OverloadedError, ServiceUnavailableError
from ..resilience.degradation import Degradation, ServiceLevel
from .exchange import ActiveRequests

MOST_DIGITS = 18
"""Of a length in bytes; Python refuses to read a number of some thousands."""

OFFLINE_SECONDS = 30.0
"""What callers are told while it is held offline. Somebody has to end that, so there is no hurry."""


def too_large() -> HTTPException:
    """The refusal of a body. An HTTPException, because FastAPI turns any other failure to read a body into a 400."""
    return HTTPException(413)


class Admission:
    """Decides for every request, before anything inside knows of it.

    Args:
        degradation: knows the level.
        active_requests: how many are being served, with the one in question.
        max_active_requests: one more is refused.
        max_body_bytes: a body announced to be larger is refused.
        always_served: whether a request is served all the same, for probes must tell of an overload and not fall to it.
    """

    def __init__(
        self,
        degradation: Degradation,
        active_requests: ActiveRequests,
        *,
        max_active_requests: int,
        max_body_bytes: int,
        always_served: Callable[[Scope], bool],
    ) -> None:
        self.degradation = degradation
        self.active_requests = active_requests
        self.max_active_requests = max_active_requests
        self.max_body_bytes = max_body_bytes
        self.always_served = always_served

    def check(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Let it in.

        Raises:
            HTTPException: 413.
            OverloadedError: too many are being served.
            ServiceUnavailableError: the service is held offline.
        """
        if b"content-length" in headers:
            length = headers[b"content-length"].lstrip(b"0")
            if length.isdigit() and (len(length) > MOST_DIGITS or int(length) > self.max_body_bytes):
                raise too_large()
        if self.degradation.level is ServiceLevel.OFFLINE and not self.always_served(scope):
            raise ServiceUnavailableError("api", retry_after=OFFLINE_SECONDS, level=ServiceLevel.OFFLINE.value)
        if self.active_requests.count > self.max_active_requests and not self.always_served(scope):
            raise OverloadedError("Too many requests are being served")
