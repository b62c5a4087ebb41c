"""Fixtures shared by all tests."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.subject import StackLimit, finished, lines
from tests.support import database, failing
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving, settle
from tools.processes import free_port

ORIGIN = "https://shop.example"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the service runs on."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_delay() -> None:
    """What requests leave is there at once, for the tests need not wait."""
    finished.DELAY_SECONDS = 0.0


@pytest.fixture(scope="session", autouse=True)
def _databases() -> Iterator[None]:
    yield
    database.end()


@pytest.fixture(scope="session")
def _log_stream() -> LogLines:
    return LogLines.of_the_process()


@pytest.fixture(autouse=True)
def logs(_log_stream: LogLines, monkeypatch: pytest.MonkeyPatch) -> LogLines:
    """The log lines of this test, without late ones of the test before, and without regard to the errors it had."""
    settle()
    monkeypatch.setattr(lines, "stacks", StackLimit())
    _log_stream.clear()
    return _log_stream


@pytest.fixture(scope="session")
def failing_service(tmp_path_factory: pytest.TempPathFactory, _log_stream: LogLines) -> Iterator[str]:
    """The base URL of the service with routes that fail, and a short deadline."""
    app = make_app(
        tmp_path_factory.mktemp("failing"),
        CORS_ALLOW_ORIGINS=ORIGIN,
        MAX_BODY_BYTES="1000",
        REQUEST_DEADLINE_SECONDS="1",
    )
    app.include_router(failing.router)
    app.add_middleware(failing.FailingMiddleware)
    with serving(app) as url:
        yield url


@pytest.fixture
async def failing_client(failing_service: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service that fails."""
    async with connect(failing_service) as client:
        yield client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, _log_stream: LogLines) -> Iterator[str]:
    """The base URL of the service as it is."""
    with serving(make_app(tmp_path_factory.mktemp("service"))) as url:
        yield url


@pytest.fixture
async def client(service: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service as it is."""
    async with connect(service) as client:
        yield client


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    return free_port()
