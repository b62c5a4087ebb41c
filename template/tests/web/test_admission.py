"""What is refused before anything inside knows of it."""

from typing import Any

import pytest
from starlette.exceptions import HTTPException

from tests.subject import ActiveRequests, Admission, Degradation, Events


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
