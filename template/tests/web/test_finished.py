"""Requests that are over are handed on before long, all of them, and in the order in which they ended."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from sys import getrefcount
from typing import Any

import pytest

from tests.subject import Exchange, finished
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving


def exchange(name: str) -> Exchange:
    """A request that is over."""
    made: Any = Exchange
    over: Exchange = made({"method": "GET", "path": f"/{name}"}, None, name, None, None)
    return over


def collecting() -> tuple[finished.FinishedRequests, list[list[str]]]:
    """What collects requests, and the names that its observer got each time."""
    handed: list[list[str]] = []

    def observe(over: Sequence[finished.FinishedRequest]) -> None:
        handed.append([one.request_id for one in over])

    return finished.FinishedRequests([observe]), handed


async def test_all_that_came_within_the_delay_are_handed_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "DELAY_SECONDS", 0.02)
    requests, handed = collecting()
    for name in ("a", "b"):
        requests.add(exchange(name), 0.1)
    assert handed == []
    await asyncio.sleep(0.05)
    requests.add(exchange("c"), 0.1)
    await asyncio.sleep(0.05)
    assert handed == [["a", "b"], ["c"]]


async def test_whoever_cannot_wait_gets_them_now() -> None:
    requests, handed = collecting()
    requests.add(exchange("a"), 0.1)
    requests.hand_on()
    assert handed == [["a"]]
    requests.add(exchange("b"), 0.1)
    await asyncio.sleep(0.01)
    assert [names for names in handed if names] == [["a"], ["b"]]


def test_a_loop_that_has_ended_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "DELAY_SECONDS", 60.0)
    requests, handed = collecting()

    async def end(name: str) -> None:
        requests.add(exchange(name), 0.1)

    asyncio.run(end("a"))
    monkeypatch.setattr(finished, "DELAY_SECONDS", 0.0)

    async def end_and_wait(name: str) -> None:
        requests.add(exchange(name), 0.1)
        await asyncio.sleep(0.01)

    asyncio.run(end_and_wait("b"))
    assert handed == [["a", "b"]]


async def test_the_end_of_the_process_writes_what_is_waiting(
    tmp_path: Path, logs: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished, "DELAY_SECONDS", 60.0)
    with serving(make_app(tmp_path)) as url:
        async with connect(url) as client:
            name = (await client.get("/livez")).headers["x-request-id"]
        assert name not in logs.getvalue()
    [line] = [line for line in logs.access() if line["request_id"] == name]
    assert (line["path"], line["status"]) == ("/livez", 200)


async def test_an_observer_that_fails_stops_no_other(logs: LogLines) -> None:
    def full(_: Sequence[finished.FinishedRequest]) -> None:
        raise OSError("no space left on the device")

    handed: list[Sequence[finished.FinishedRequest]] = []
    requests = finished.FinishedRequests([full, handed.append])
    requests.add(exchange("a"), 0.1)
    requests.hand_on()
    assert [one.request_id for one in handed[0]] == ["a"]
    assert logs.of_level("error")[0]["exception"]["type"] == "OSError"


async def test_what_ends_after_the_end_does_not_wait_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "DELAY_SECONDS", 60.0)
    requests, handed = collecting()
    with requests.until_the_end():
        requests.add(exchange("a"), 0.1)
        assert handed == []
    requests.add(exchange("b"), 0.1)
    assert handed == [["a"], ["b"]]


async def test_nothing_that_a_request_held_on_to_outlives_it() -> None:
    requests, _ = collecting()
    over = exchange("a")
    requests.add(over, 0.1)
    assert getrefcount(over) == 2
    [left] = requests.waiting
    assert (left.path, left.route, left.duration) == ("/a", "unmatched", 0.1)
