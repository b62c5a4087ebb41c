"""From an exception of the HTTP client to one of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ..errors.classification import (
    BUG,
    NETWORK,
    OVERLOADED,
    THROTTLED,
    TIMEOUT,
    UNAVAILABLE,
    Classification,
    ErrorCategory,
    ErrorClassifier,
    ErrorSeverity,
)
from ..errors.hierarchy import OperationTimeoutError, OverloadedError, ServiceUnavailableError

THROTTLING = frozenset({408, 429})
"""Statuses that ask us to slow down; every other 4xx means that our own request was wrong."""

LONGEST_RETRY_AFTER = 3600.0
"""Seconds; an upstream that asks for more is understood as this much."""

BROKEN = Classification(ErrorCategory.NETWORK, ErrorSeverity.HIGH)
"""It answers, but not what we agreed on; asking again brings the same."""


class UnusableAnswerError(Exception):
    """An answer of another shape than agreed, or too large; `reason` tells which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def upstream_errors(name: str, total_timeout: float) -> Iterator[None]:
    """Raise our own exception for each failure of the upstream `name` inside.

    An answer below 500 that is no success and no throttling passes as `httpx.HTTPStatusError`: the typed client expects
    it, or it is a bug.

    Raises:
        OperationTimeoutError: no answer in time.
        OverloadedError: none of our own connections became free.
        ServiceUnavailableError: it could not be reached, failed, throttled us or broke the protocol.
    """
    try:
        yield
    except httpx.PoolTimeout as error:
        raise OverloadedError(f"No free connection to {name}") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise OperationTimeoutError(name, total_timeout) from error
    except httpx.HTTPStatusError as error:
        if has_answered(error):
            raise
        raise ServiceUnavailableError(
            name, retry_after=retry_after(error.response), status=error.response.status_code
        ) from error
    except UnusableAnswerError as error:
        raise ServiceUnavailableError(name, reason=error.reason) from error
    except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError, httpx.DecodingError) as error:
        raise ServiceUnavailableError(name) from error


def retry_after(response: httpx.Response) -> float | None:
    """Seconds the upstream asks us to wait, at most `LONGEST_RETRY_AFTER`; None if it names neither number nor date."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (OverflowError, TypeError, ValueError):  # No date, or one without a time zone.
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)


def retry_after_of(error: BaseException) -> float | None:
    """Seconds the upstream asks us to wait, as far as `error` tells."""
    return retry_after(error.response) if isinstance(error, httpx.HTTPStatusError) else None


def has_answered(error: Exception) -> bool:
    """Whether the upstream has told us that our request is wrong, which shows it well."""
    return isinstance(error, httpx.HTTPStatusError) and (
        error.response.status_code < 500 and error.response.status_code not in THROTTLING
    )


def register_errors(classifier: ErrorClassifier) -> None:
    """Tell the classifier of the exceptions that httpx raises."""
    for kind, verdict in {
        httpx.HTTPError: BUG,
        httpx.TimeoutException: TIMEOUT,
        httpx.PoolTimeout: OVERLOADED,
        httpx.NetworkError: NETWORK,
        httpx.RemoteProtocolError: NETWORK,
        httpx.ProxyError: NETWORK,
        httpx.DecodingError: BROKEN,
        httpx.TooManyRedirects: BROKEN,
        UnusableAnswerError: BROKEN,
        httpx.InvalidURL: BUG,
        httpx.CookieConflict: BUG,
        httpx.StreamError: BUG,
    }.items():
        classifier.register(kind, verdict)
    classifier.register(httpx.HTTPStatusError, _classify_status)


def _classify_status(error: httpx.HTTPStatusError) -> Classification:
    status = error.response.status_code
    if status in THROTTLING:
        return THROTTLED
    return UNAVAILABLE if status >= 500 else BUG
