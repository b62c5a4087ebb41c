"""Nothing that clients send becomes the value of a label."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.subject import Application
from tests.support.environment import make_app

MANY = 10_000


async def _ask(app: Application, method: str, path: str, query: str = "") -> None:
    """As a server does, but one would refuse most of the methods."""
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None:
        pass

    await app(scope, receive, send)


def _series(app: Application) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    app.state.finished.hand_on()
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(app.state.metrics.exposition().decode())
        for sample in family.samples
    }


class _Quoting:
    """A middleware whose errors quote what was asked for, unless it is told not to fail."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"] != b"pass":
            raise RuntimeError(f"cannot {scope['method']} {scope['path']}")
        await self.app(scope, receive, send)


async def test_paths_methods_and_messages_make_no_new_series(tmp_path: Path) -> None:
    app = make_app(tmp_path, LOG_LEVEL="CRITICAL", ERROR_HANDLING_ENABLE_ERROR_LOGGING="false")
    app.add_middleware(_Quoting)
    await _ask(app, "METHOD", "/nowhere")
    await _ask(app, "METHOD", "/nowhere", "pass")
    before = _series(app)
    for number in range(MANY):
        await _ask(app, f"METHOD{number}", f"/nowhere/{number}")
        await _ask(app, f"METHOD{number}", f"/nowhere/{number}", "pass")
    assert _series(app) == before

    counted = app.state.metrics.registry.get_sample_value
    labels = {"method": "other", "route": "unmatched"}
    for status in ("500", "404"):
        assert counted("http_server_request_duration_seconds_count", {**labels, "status": status}) == 1 + MANY
    errors = {"error_type": "RuntimeError", "category": "internal", "severity": "medium"}
    assert counted("application_errors_total", errors) == 1 + MANY
