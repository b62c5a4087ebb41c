"""Error rates look back an hour, a day and some days, and forget what is older."""

from dataclasses import dataclass
from pathlib import Path

from tests.subject import ErrorRates
from tests.support import failing
from tests.support.clock import Clock
from tests.support.environment import make_app
from tests.support.server import connect, serving

HOUR = 3600


@dataclass
class Finished:
    """A request that is over."""

    status: int
    route: str = "/things/{name}"


def test_without_traffic_there_is_no_rate() -> None:
    assert ErrorRates(30, clock=Clock()).rates() == {"last_hour": None, "last_day": None, "retained": None}


def test_each_rate_forgets_what_is_older() -> None:
    clock = Clock()
    rates = ErrorRates(3, clock=clock)
    rates.observe_requests([Finished(500), Finished(200), Finished(404), Finished(0)])
    assert rates.rates() == {"last_hour": 0.5, "last_day": 0.5, "retained": 0.5}
    clock.pass_(2 * HOUR)
    rates.observe_requests([Finished(200)] * 4)
    assert rates.rates() == {"last_hour": 0.0, "last_day": 0.25, "retained": 0.25}
    clock.pass_(23 * HOUR)
    assert rates.rates() == {"last_hour": None, "last_day": 0.0, "retained": 0.25}
    clock.pass_(3 * 24 * HOUR)
    assert rates.rates() == {"last_hour": None, "last_day": None, "retained": None}


def test_what_is_no_traffic_is_not_counted() -> None:
    rates = ErrorRates(30, ignored_routes=["/readyz"], clock=Clock())
    rates.observe_requests([Finished(503, "/readyz"), Finished(200)])
    assert rates.rates()["last_hour"] == 0.0


async def test_the_report_has_them(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    app.include_router(failing.router)
    with serving(app) as url:
        async with connect(url) as client:
            assert (await client.get("/health")).json()["error_rates"]["last_hour"] is None
            for path in ("/fail/endpoint", "/fail/http/404", "/fail/http/503", "/livez", "/nowhere"):
                await client.get(path)
            app.state.finished.hand_on()
            assert (await client.get("/health")).json()["error_rates"] == dict.fromkeys(
                ("last_hour", "last_day", "retained"), 0.5
            )


async def test_they_can_be_turned_off(tmp_path: Path) -> None:
    app = make_app(tmp_path, ERROR_HANDLING_ENABLE_ERROR_METRICS="false")
    app.include_router(failing.router)
    with serving(app) as url:
        async with connect(url) as client:
            await client.get("/fail/endpoint")
            app.state.finished.hand_on()
            assert set((await client.get("/health")).json()["error_rates"].values()) == {None}
