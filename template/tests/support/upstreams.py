"""Connections to upstreams, made for tests."""

import time
from collections.abc import Callable

from tests.subject import DEFAULTS, ErrorClassifier, Event, Events, Policy, UpstreamConnection, register_errors

POLICY = Policy(
    total_timeout=0.8,
    attempt_timeout=0.4,
    max_retries=0,
    retry_delay=0.01,
    retry_backoff_multiplier=2.0,
    breaker_enabled=False,
).over(DEFAULTS)
"""Short timeouts and a single attempt; put another policy over it for more."""


def connect_to(
    url: str,
    policy: Policy,
    events: Callable[[Event], None] = Events(),  # noqa: B008
    clock: Callable[[], float] = time.monotonic,
) -> UpstreamConnection:
    """A connection to the upstream at `url`."""
    classifier = ErrorClassifier()
    register_errors(classifier)
    return UpstreamConnection(
        "stock", url, policy, connect_timeout=0.4, classifier=classifier, events=events, clock=clock
    )
