"""Fixtures for the tests of replicas that act as one."""

import secrets
from collections.abc import Iterator

import pytest

from tests.subject import Upstream, lifespan
from tests.support import environment
from tests.support.redis import GIVEN_URL, IN_PIPELINE, MISSING, RedisServer, find_program


@pytest.fixture(scope="session")
def redis_program() -> str:
    """The program of a server, for tests that kill it."""
    program = find_program()
    if program is None:
        (pytest.fail if IN_PIPELINE else pytest.skip)(MISSING)
    return program


@pytest.fixture
def redis(redis_program: str) -> Iterator[RedisServer]:
    """A server of this test alone."""
    with RedisServer(redis_program) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server for tests that do it no harm."""
    if GIVEN_URL:
        yield GIVEN_URL
        return
    with RedisServer(request.getfixturevalue("redis_program")) as server:
        yield server.url


@pytest.fixture
def fleet() -> str:
    """A name that no other fleet has."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture
def with_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service calls an upstream, whichever it has otherwise."""
    upstreams = [Upstream(name="stock", base_url="http://127.0.0.1:1")]
    monkeypatch.setattr(lifespan, "UPSTREAMS", upstreams)
    monkeypatch.setattr(environment, "UPSTREAMS", upstreams)
