"""A request that comes twice with one `Idempotency-Key` is done once."""

import asyncio
import importlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import event, orm, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.subject import (
    PACKAGE,
    ConflictError,
    ServiceUnavailableError,
    Transactions,
    create_engine,
    create_sessions,
    schema,
)
from tests.support.bodies import read_error
from tests.support.database import url_of
from tests.support.environment import make_app
from tests.support.server import connect, own_process, serving, started
from tools.unreliable_upstream import Fault, FaultKind, UnreliableUpstream

IdempotencyKeys = importlib.import_module(f"{PACKAGE}.orders.idempotency").IdempotencyKeys

ORDER = {"sku": "A-1", "quantity": 2}
KEY = {"Idempotency-Key": "k-1"}


@pytest.fixture
def once_service(tmp_path: Path, inventory: UnreliableUpstream) -> Iterator[str]:
    with serving(make_app(tmp_path, INVENTORY_BASE_URL=inventory.url)) as url:
        yield url


@pytest.fixture
async def once(once_service: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(once_service) as client:
        yield client


async def _orders(client: httpx.AsyncClient) -> list[Any]:
    return list((await client.get("/v1/orders")).json()["items"])


async def test_the_same_request_gets_the_same_answer(once: httpx.AsyncClient, inventory: UnreliableUpstream) -> None:
    first = await once.post("/v1/orders", json=ORDER, headers=KEY)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    inventory.reset_requests()
    await once.patch(f"/v1/orders/{first.json()['id']}", json={"quantity": 9}, headers={"If-Match": '"1"'})
    again = await once.post("/v1/orders", json={"quantity": 2, "sku": "A-1"}, headers=KEY)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert len(await _orders(once)) == 1
    assert inventory.request_count == 0


async def test_without_a_key_every_request_counts(once: httpx.AsyncClient) -> None:
    for _ in range(2):
        await once.post("/v1/orders", json=ORDER)
    assert len(await _orders(once)) == 2


async def test_another_body_is_refused(once: httpx.AsyncClient) -> None:
    await once.post("/v1/orders", json=ORDER, headers=KEY)
    other = await once.post("/v1/orders", json={**ORDER, "quantity": 3}, headers=KEY)
    assert (other.status_code, read_error(other).code) == (422, "idempotency_key_reused")
    assert len(await _orders(once)) == 1


async def test_another_caller_has_other_keys(once: httpx.AsyncClient) -> None:
    for caller in ("ann", "bob"):
        answer = await once.post("/v1/orders", json=ORDER, headers={**KEY, "Authorization": caller})
        assert "idempotent-replayed" not in answer.headers
    assert len(await _orders(once)) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
async def test_a_key_is_short_and_plain(once: httpx.AsyncClient, key: str) -> None:
    assert (await once.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": key})).status_code == 422


async def test_duplicates_at_the_same_time_make_one_order(
    once: httpx.AsyncClient, inventory: UnreliableUpstream
) -> None:
    inventory.fail(Fault(FaultKind.LATENCY, seconds=0.5))
    inventory.reset_requests()
    answers = await asyncio.gather(*(once.post("/v1/orders", json=ORDER, headers=KEY) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert inventory.request_count == 1
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert (read_error(refused).code, refused.headers["retry-after"]) == ("request_in_progress", "1")
    assert len(await _orders(once)) == 1


async def test_a_request_that_failed_may_be_tried_again(once: httpx.AsyncClient, inventory: UnreliableUpstream) -> None:
    inventory.stock["A-9"] = 1
    order = {"sku": "A-9", "quantity": 2}
    assert (await once.post("/v1/orders", json=order, headers=KEY)).status_code == 409
    inventory.stock["A-9"] = 5
    assert (await once.post("/v1/orders", json=order, headers=KEY)).status_code == 201


async def test_a_request_that_met_its_deadline_may_be_tried_again(
    once: httpx.AsyncClient, inventory: UnreliableUpstream
) -> None:
    inventory.fail(Fault(FaultKind.HANG))
    first = await once.post("/v1/orders", json=ORDER, headers={**KEY, "X-Request-Timeout-Ms": "300"})
    inventory.recover()
    second = await once.post("/v1/orders", json=ORDER, headers=KEY)
    assert first.status_code in {201, 504}
    assert second.status_code == 201
    assert len(await _orders(once)) == 1


async def test_an_answer_is_forgotten_in_time(once: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{PACKAGE}.orders.idempotency.KEPT_SECONDS", 0.0)
    for _ in range(2):
        answer = await once.post("/v1/orders", json=ORDER, headers=KEY)
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)
    await once.post("/v1/orders", json={**ORDER, "quantity": 7}, headers=KEY)
    assert len(await _orders(once)) == 3


async def test_a_claim_that_was_lost_stores_nothing(
    once: httpx.AsyncClient, inventory: UnreliableUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the first request had been stopped for longer than its claim lasts, and then went on."""
    monkeypatch.setattr(f"{PACKAGE}.orders.idempotency.time_left", lambda _: -5.0)
    inventory.fail(Fault(FaultKind.LATENCY, seconds=0.4, times=1))
    slow = asyncio.create_task(once.post("/v1/orders", json=ORDER, headers=KEY))
    await asyncio.sleep(0.15)
    fast = await once.post("/v1/orders", json=ORDER, headers=KEY)
    assert fast.status_code == 201
    assert (await slow).status_code == 409
    assert [order["id"] for order in await _orders(once)] == [fast.json()["id"]]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    await schema.migrate(url_of(tmp_path))
    engine = create_engine(url_of(tmp_path))
    yield engine
    await engine.dispose()


class Body(BaseModel):
    """The body of a request."""

    text: str = "canary"


@pytest.fixture
def transactions(engine: AsyncEngine) -> Transactions:
    return Transactions(create_sessions(engine), lambda _: None, asyncio.sleep)


async def test_a_claim_whose_process_has_died_ends_with_its_time(transactions: Transactions) -> None:
    now = 1000.0
    keys = IdempotencyKeys(transactions, "ann", "POST /things", now=lambda: now)
    async with keys.claimed("k", Body()):
        pass  # Neither kept nor given up.
    for later, free in ((64.0, False), (66.0, True)):
        now = 1000.0 + later
        if free:
            async with keys.claimed("k", Body()) as claim:
                assert claim.answer is None
        else:
            with pytest.raises(ConflictError):
                await keys.claimed("k", Body()).__aenter__()


async def test_another_route_has_other_keys(transactions: Transactions) -> None:
    for route in ("POST /things", "POST /others"):
        async with IdempotencyKeys(transactions, "ann", route).claimed("k", Body()) as claim:
            assert claim.answer is None


async def test_an_answer_that_was_stored_stays_whatever_we_were_told(transactions: Transactions) -> None:
    """As if the connection had been lost after the commit."""
    keys = IdempotencyKeys(transactions, "ann", "POST /things")

    async def place() -> None:
        async with keys.claimed("k", Body()) as claim:
            await transactions.run(lambda session: claim.keep(session, "answer"))
            raise ServiceUnavailableError("database")

    with pytest.raises(ServiceUnavailableError):
        await place()
    async with keys.claimed("k", Body()) as claim:
        assert claim.answer == "answer"


async def test_a_claim_that_is_cancelled_while_it_is_committed_is_free_again(transactions: Transactions) -> None:
    keys = IdempotencyKeys(transactions, "ann", "POST /things")
    task = asyncio.create_task(keys.claimed("k", Body()).__aenter__())
    event.listen(orm.Session, "after_commit", lambda _: task.cancel(), once=True)
    with pytest.raises(asyncio.CancelledError):
        await task
    async with keys.claimed("k", Body()) as claim:
        assert claim.answer is None


async def test_expired_keys_do_not_pile_up(engine: AsyncEngine, transactions: Transactions) -> None:
    now = 1000.0
    keys = IdempotencyKeys(transactions, "ann", "POST /things", now=lambda: now)
    for number in range(30):
        async with keys.claimed(str(number), Body()):
            pass
    now += 100
    for number in range(3):
        async with keys.claimed(f"later {number}", Body()):
            pass
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM idempotency_keys"))).scalar_one() == 3


DYING_SERVICE = """
import os, signal
from PACKAGE import __main__ as program
from PACKAGE.app import create_app

class Dying:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def last(message):
            if dict(scope["headers"]).get(b"x-die"):
                os.kill(os.getpid(), signal.SIGKILL)
            await send(message)
        await self.app(scope, receive, last if scope["type"] == "http" else send)

def create_dying_app(settings=None):
    app = create_app(settings)
    app.add_middleware(Dying)
    return app

program.create_app = create_dying_app
raise SystemExit(program.main())
""".replace("PACKAGE", PACKAGE)


async def test_a_crash_between_commit_and_answer_makes_no_second_order(
    tmp_path: Path, inventory: UnreliableUpstream, unused_port: int
) -> None:
    variables = {
        "PORT": str(unused_port),
        "DATABASE_URL": url_of(tmp_path),
        "INVENTORY_BASE_URL": inventory.url,
    }

    async with connect(f"http://127.0.0.1:{unused_port}") as client:
        async with own_process(["-c", DYING_SERVICE], variables) as process:
            await started(client)
            with pytest.raises(httpx.TransportError):
                await client.post("/v1/orders", json=ORDER, headers={**KEY, "X-Die": "now"})
            assert await process.wait() == -signal.SIGKILL
        async with own_process(["-c", DYING_SERVICE], variables):
            await started(client)
            [stored] = await _orders(client)
            again = await client.post("/v1/orders", json=ORDER, headers=KEY)
            assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (201, stored, "true")
            assert await _orders(client) == [stored]
