"""One process and its Redis: passwords, certificates, what is logged, and what the rest of the service sees of it."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from redis import Redis as Client
from redis.asyncio import Redis

from tests.subject import (
    DISTRIBUTION,
    BreakerSync,
    Degradation,
    ErrorRates,
    Events,
    Feature,
    Health,
    Lifecycle,
    Policy,
    ServiceUnavailableError,
    SharedBreaker,
)
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.redis import RedisServer
from tests.support.server import connect, serving
from tests.support.upstreams import POLICY, connect_to

SHARED = "circuit breakers are shared again"
NOT_SHARED = "circuit breakers are not shared: Redis does not answer"
PASSWORD = "canary-s3cret"


@asynccontextmanager
async def in_step(sync: BreakerSync) -> AsyncIterator[SharedBreaker]:
    """The breaker of an upstream, within the lifespan of an app."""

    @asynccontextmanager
    async def running() -> AsyncIterator[dict[str, Any]]:
        async with connect_to("http://127.0.0.1:1", Policy(breaker_enabled=True).over(POLICY)) as connection:
            yield {"upstreams": {"stock": connection}}

    async with sync.around(running()) as state:
        breaker = state["upstreams"]["stock"].pipeline.breaker
        async with asyncio.timeout(5):
            while sync.connected is None:
                await asyncio.sleep(0.005)
        yield breaker


@asynccontextmanager
async def tls_in_front(port: int, authority: trustme.CA, deaf_after: bytes = b"\0") -> AsyncIterator[int]:
    """A port that speaks TLS and passes everything on to `port`; what it gets after `deaf_after` it does not read."""
    opened: list[asyncio.StreamWriter] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                if deaf_after in data:
                    cast(asyncio.Transport, opened[-2].transport).pause_reading()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        opened.extend((writer, upstream_writer))
        await asyncio.gather(pipe(reader, upstream_writer), pipe(upstream_reader, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in opened:
            if not one.transport.is_closing():  # Python 3.11.2 fails to abort what is closed.
                one.transport.abort()
        await asyncio.sleep(0.01)


async def test_a_password_and_tls(redis_program: str, fleet: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with RedisServer(redis_program, PASSWORD) as redis:
        async with tls_in_front(redis.port, authority) as port:
            url = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0"
            async with in_step(BreakerSync(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}", fleet)) as breaker:
                # A handshake may take too long on a busy machine; then it is tried again.
                async with asyncio.timeout(10):
                    while not breaker.shared:
                        await asyncio.sleep(0.01)
            async with in_step(BreakerSync(url, fleet)) as breaker:
                assert not breaker.shared  # Whose certificate nobody vouches for.


class Stubborn(BreakerSync):
    """One whose client takes its cancellation for something else, once."""

    async def run(self, breakers: Mapping[SharedBreaker, float]) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)


async def test_a_cancellation_that_gets_lost_does_not_keep_the_service_from_its_end(fleet: str) -> None:
    @asynccontextmanager
    async def running() -> AsyncIterator[dict[str, Any]]:
        yield {"upstreams": {}}

    async with asyncio.timeout(10) as limit, Stubborn("redis://127.0.0.1:1/0", fleet).around(running()):
        await asyncio.sleep(0.01)
    assert not limit.expired()


async def test_whoever_does_not_take_a_farewell_is_asked_again(redis: RedisServer, fleet: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Redis.from_url(redis.url) as client, tls_in_front(redis.port, authority, deaf_after=b"EVALSHA") as port:
        await client.replicaof("127.0.0.1", 1)  # It must not write, and the answer says so.
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"
        async with in_step(BreakerSync(url, fleet, uniform=lambda least, most: least / 10)):
            await client.config_resetstat()
            async with asyncio.timeout(5):
                while (await client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"] < 2:
                    await asyncio.sleep(0.01)


async def test_a_search_for_its_address_keeps_nobody_else_from_theirs(
    fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a name server that does not answer: the search cannot be ended, and there are few threads for all."""
    searched, over = 0, threading.Event()
    search = socket.getaddrinfo

    def search_in_vain(host: str, *arguments: Any, **more: Any) -> Any:
        nonlocal searched
        if host != "redis.invalid":
            return search(host, *arguments, **more)
        searched += 1
        over.wait(10)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", search_in_vain)
    async with in_step(BreakerSync("redis://redis.invalid", fleet, uniform=lambda least, most: least / 10)):
        await asyncio.sleep(1.5)
        assert searched == 1
        over.set()
        async with asyncio.timeout(5):
            while searched < 3:
                await asyncio.sleep(0.01)


async def test_a_wrong_password_is_told_and_not_shown(redis_program: str, fleet: str, logs: LogLines) -> None:
    with RedisServer(redis_program, "another") as redis:
        url = redis.url.replace("another", PASSWORD)
        async with in_step(BreakerSync(url, fleet)) as breaker:
            assert not breaker.shared
    (line,) = logs.of_level("warning")
    assert line["event"] == NOT_SHARED
    assert "AuthenticationError" in str(line["exception"])
    assert PASSWORD not in logs.getvalue()


async def test_an_outage_is_told_once_and_its_end_too(redis: RedisServer, fleet: str, logs: LogLines) -> None:
    sync = BreakerSync(redis.url, fleet, uniform=lambda least, most: least / 10)
    async with in_step(sync) as breaker, asyncio.timeout(10):
        assert breaker.shared
        assert logs.of_level("warning") == []
        redis.kill()
        while breaker.shared:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        redis.start()
        while not breaker.shared:
            await asyncio.sleep(0.01)
    assert [line["event"] for line in logs.of_level("warning")] == [NOT_SHARED, SHARED]


async def test_nothing_stays_in_redis_for_ever_nor_outside_of_its_namespace(redis: RedisServer, fleet: str) -> None:
    async with in_step(BreakerSync(redis.url, fleet)), Redis.from_url(redis.url) as client:
        assert await client.keys() == [f"breaker:{fleet}:stock".encode()]
        assert 60_000 < await client.pttl(f"breaker:{fleet}:stock") < 180_000


async def test_only_those_of_the_same_name_are_one_fleet(redis: RedisServer, fleet: str) -> None:
    async with AsyncExitStack() as stack:
        one, two, other = [
            await stack.enter_async_context(in_step(BreakerSync(redis.url, name)))
            for name in (fleet, fleet, fleet + "x")
        ]
        for breaker, failures in ((one, 3), (other, 3), (two, 2)):
            for _ in range(failures):
                breaker.failed(breaker.admit(), ServiceUnavailableError("stock"))
        await asyncio.sleep(0.25)
        assert [breaker.state.value for breaker in (one, two, other)] == ["open", "open", "closed"]


async def test_the_report_tells_which_breakers_are_shared(redis: RedisServer, fleet: str) -> None:
    async with in_step(BreakerSync(redis.url, fleet)) as breaker:
        degradation = Degradation([Feature(name="ads")], is_failure=lambda _: True, events=Events())
        health = Health(Lifecycle(), [], [breaker], degradation, frozenset(), ErrorRates(1))
        report = (await health.report()).model_dump(mode="json")["circuit_breakers"]
        assert report == {
            "stock": {"state": "closed", "failure_count": 0, "shared": True},
            "ads": {"state": "closed", "failure_count": 0, "shared": None},
        }


async def test_a_full_redis_is_none(redis: RedisServer, fleet: str) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.config_set("maxmemory", "1")
    async with in_step(BreakerSync(redis.url, fleet)) as breaker:
        assert not breaker.shared
        breaker.open()
        assert breaker.refuses_for()


async def test_the_service_starts_and_serves_without_it(with_upstream: None, tmp_path: Path) -> None:
    with serving(make_app(tmp_path)) as url:
        async with connect(url) as client:
            for path in ("/startupz", "/readyz", "/health"):
                assert (await client.get(path)).status_code == 200
            assert (await client.get("/health")).json()["circuit_breakers"]["stock"]["shared"] is False


async def test_the_service_tells_that_it_shares(with_upstream: None, redis: RedisServer, tmp_path: Path) -> None:
    with serving(make_app(tmp_path, REDIS_URL=redis.url)) as url:
        async with connect(url) as client, asyncio.timeout(5):
            while not (await client.get("/health")).json()["circuit_breakers"]["stock"]["shared"]:
                await asyncio.sleep(0.01)
    with Client.from_url(redis.url) as client_of_redis:
        assert len(client_of_redis.keys(f"breaker:{DISTRIBUTION}:development:stock")) == 1
