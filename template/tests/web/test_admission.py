"""What is refused before anything inside knows of it, and what cannot be registered."""

from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from tests.subject import ActiveRequests, Admission, Degradation, Events
from tests.support.environment import make_app


@pytest.mark.parametrize(
    ("length", "refused"), [(b"10", False), (b"11", True), (b"9" * 5000, True), (b"0" * 5000, False), (b"soon", False)]
)
def test_an_announced_length(length: bytes, refused: bool) -> None:
    admission = Admission(
        Degradation([], is_failure=lambda _: True, events=Events()),
        ActiveRequests(),
        max_active_requests=1,
        max_body_bytes=10,
        always_served=lambda _: False,
    )
    scope: dict[str, Any] = {}
    if refused:
        with pytest.raises(HTTPException) as refusal:
            admission.check(scope, {b"content-length": length})
        assert refusal.value.status_code == 413
    else:
        admission.check(scope, {b"content-length": length})


@pytest.mark.parametrize("kind", [500, Exception])
def test_a_handler_that_would_never_be_called_is_refused(tmp_path: Path, kind: Any) -> None:
    app = make_app(tmp_path)
    handler: Any = print
    app.add_exception_handler(kind, handler)
    with pytest.raises(RuntimeError, match=r"handlers\.py"):
        app.build_middleware_stack()
