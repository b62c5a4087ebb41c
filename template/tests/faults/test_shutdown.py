"""A real process, told to stop while it works."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.subject import PACKAGE
from tests.support.database import url_of
from tests.support.server import connect, own_process, started

SLOW_SERVICE = """
import asyncio
from PACKAGE import __main__ as program
from PACKAGE.app import create_app

def create_slow_app(settings=None):
    app = create_app(settings)

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.6)
        return "done"

    return app

program.create_app = create_slow_app
raise SystemExit(program.main())
""".replace("PACKAGE", PACKAGE)


def _process(folder: Path, port: int) -> AbstractAsyncContextManager[Process]:
    variables = {
        "PORT": str(port),
        "DATABASE_URL": url_of(folder),
        "DRAIN_DELAY_SECONDS": "0.3",
    }
    return own_process(["-c", SLOW_SERVICE], variables, output=PIPE, errors=PIPE)


async def test_drain(tmp_path: Path, unused_port: int) -> None:
    async with (
        _process(tmp_path, unused_port) as process,
        connect(f"http://127.0.0.1:{unused_port}") as client,
    ):
        await started(client)
        assert (await client.get("/readyz")).status_code == 200
        in_flight = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)

        # Not ready at once, while new connections are still served: whoever routes traffic can notice.
        async with connect(client.base_url) as newcomer:
            assert (await newcomer.get("/readyz")).status_code == 503
            assert (await newcomer.get("/livez")).status_code == 200

        response = await in_flight
        assert (response.status_code, response.json()) == (200, "done")
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_ctrl_c_ends_without_a_traceback(tmp_path: Path, unused_port: int) -> None:
    async with (
        _process(tmp_path, unused_port) as process,
        connect(f"http://127.0.0.1:{unused_port}") as client,
    ):
        await started(client)
        process.send_signal(signal.SIGINT)
        _, complaints = await asyncio.wait_for(process.communicate(), 5)
        assert (process.returncode, complaints) == (0, b"")


async def test_a_second_signal_does_not_wait(tmp_path: Path, unused_port: int) -> None:
    async with (
        _process(tmp_path, unused_port) as process,
        connect(f"http://127.0.0.1:{unused_port}") as client,
    ):
        await started(client)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
