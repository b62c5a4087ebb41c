"""The little of HTTP that the demo needs, from the standard library."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer; `seconds` is what it took."""

    status: int
    body: Any
    headers: Message = field(repr=False)
    seconds: float = field(repr=False)

    def __str__(self) -> str:
        """Status and body."""
        return f"{self.status} {json.dumps(self.body)}"


def ask(method: str, url: str, body: object = None, timeout: float = 20) -> Answer:
    """Send a request with a JSON body and read the JSON answer, whatever its status.

    Raises:
        OSError: nobody answered within `timeout` seconds.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    begin = time.monotonic()
    try:
        # No proxy: everything is on this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as response:
            return _read(response.status, response.read(), response.headers, begin)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error.code, error.read(), error.headers, begin)


def _read(status: int, text: bytes, headers: Message, begin: float) -> Answer:
    return Answer(status, json.loads(text or b"null"), headers, time.monotonic() - begin)
