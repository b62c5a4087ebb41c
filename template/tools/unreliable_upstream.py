"""A deliberately unreliable HTTP/1.1 upstream on loopback, for tests, development and drills.

It speaks real TCP, so a client under test meets the failures of a network (refused, reset, stalled
and cut connections) that a mocked transport cannot produce. A test runs it in its own event loop;
beside a service it runs as ``python unreliable_upstream.py --port 9001`` and is steered with
``PUT``, ``GET`` and ``DELETE /_fault`` and watched with ``GET /_requests``.

These paths and ``/healthz`` are never failed and never counted: a probe must not use up a fault
that is meant for the service.
"""

import argparse
import asyncio
import json
import re
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from http.client import responses
from typing import Self
from urllib.parse import unquote

DEFAULT_AVAILABLE = 42
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
MAX_KEPT_REQUESTS = 1000


class FaultKind(StrEnum):
    """What goes wrong with a request; the values are the names used by ``PUT /_fault``."""

    NONE = "none"
    LATENCY = "latency"  # the right answer, `seconds` late
    HANG = "hang"  # no answer until the fault is changed or the upstream closes
    RESET = "reset"  # TCP RST instead of an answer
    STATUS = "status"  # `status` instead of the answer, with Retry-After if `retry_after` is set
    DRIP = "drip"  # headers at once, then one body byte every `seconds`
    SLOW_CLOSE = "slow_close"  # body at once, but only a close `seconds` later marks its end
    GARBAGE = "garbage"  # bytes that are not HTTP
    TRUNCATE = "truncate"  # connection closed before the promised Content-Length


@dataclass(frozen=True)
class Fault:
    """One fault, and for how many requests it holds.

    ``seconds`` delays latency, slow_close and each byte of drip; ``retry_after`` is in whole
    seconds; ``times`` is the number of requests to hit before recovery, None for no limit.
    """

    kind: FaultKind
    seconds: float = 1.0
    status: int = 503
    retry_after: int | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be played, in one sentence that names the field."""
        # Exact types, because these values also come from JSON, where `true` would pass for 1.
        if type(self.seconds) not in (int, float) or not 0 <= self.seconds <= 3600:
            raise ValueError("'seconds' must be a number from 0 to 3600.")
        if type(self.status) is not int or not 200 <= self.status <= 599:
            raise ValueError("'status' must be a whole number from 200 to 599.")
        after = self.retry_after
        if after is not None and (type(after) is not int or after < 0):
            raise ValueError("'retry_after' must be null or a whole number from 0.")
        if self.times is not None and (type(self.times) is not int or self.times < 1):
            raise ValueError("'times' must be null or a whole number from 1.")

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read the body of ``PUT /_fault``; the ValueError names the field that is wrong."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise ValueError("The body must be a JSON object with at least 'kind'.")
        if unknown := data.keys() - {field.name for field in fields(cls)}:
            raise ValueError(f"{min(unknown)!r} is not a field of a fault.")
        if data.get("kind") not in list(FaultKind):
            raise ValueError(f"'kind' must be one of {', '.join(FaultKind)}.")
        return cls(**{**data, "kind": FaultKind(data["kind"])})


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived: ``path`` keeps its query, header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class UnreliableUpstream:
    """The server: an async context manager that listens while it is entered.

    ``stock`` sets the available count of a sku (else 42). ``requests`` keeps the latest 1000, so
    that a long run cannot fill the memory; ``request_count`` counts them all.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Port 0 takes a free one; loopback alone, as whoever can connect can set faults."""
        if host not in ("127.0.0.1", "localhost"):
            raise ValueError(f"the host must be loopback (127.0.0.1 or localhost), not {host!r}")
        if not 0 <= port <= 65535:
            raise ValueError(f"the port must be from 0 to 65535, not {port}")
        self.host, self.port = host, port
        self.stock: dict[str, int] = {}
        self.requests: list[ReceivedRequest] = []
        self.request_count = 0
        self._fault = Fault(FaultKind.NONE)
        self._socket: socket.socket
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._hung: set[asyncio.Timeout] = set()

    @property
    def url(self) -> str:
        """Base URL, without a final slash."""
        return f"http://{self.host}:{self.port}"

    @property
    def fault(self) -> Fault:
        """What the next request meets, with the ``times`` that are left."""
        return self._fault

    def fail(self, fault: Fault) -> None:
        """Meet the next requests with this fault; those that hang now get their answer."""
        self._fault = fault
        while self._hung:
            self._hung.pop().reschedule(0)

    def recover(self) -> None:
        """Answer properly again, also the requests that hang now."""
        self.fail(Fault(FaultKind.NONE))

    def reset_requests(self) -> None:
        """Forget the requests received so far, so that a test can count from zero."""
        self.requests.clear()
        self.request_count = 0

    async def stop_listening(self) -> None:
        """Look like a dead process: drop every connection and refuse new ones."""
        await self._close()
        self._reserve_port()

    async def resume_listening(self) -> None:
        """Accept connections again, on the same port."""
        if self._server is None:
            # The long backlog spares a burst of clients a delay that nobody asked for.
            self._server = await asyncio.start_server(
                self._accept, sock=self._socket, limit=MAX_HEAD_BYTES, backlog=1024
            )

    async def __aenter__(self) -> Self:
        """Listen, or raise OSError if the port is taken."""
        self._reserve_port()
        await self.resume_listening()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """End every connection at once, hanging ones included, and free the port."""
        await self._close()

    def _reserve_port(self) -> None:
        # Bound but not listening: the kernel refuses connects and gives the port to nobody else.
        # The protocol is named because asyncio sets TCP_NODELAY only if it is; without it Nagle's
        # algorithm adds 40 ms to an answer sent in two writes.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((self.host, self.port))
        except OSError:
            self._socket.close()
            raise
        self.port = self._socket.getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            # asyncio loses, still open, a connection that it is accepting while the server closes;
            # so stop the accepting first, and let one under way get past that point.
            asyncio.get_running_loop().remove_reader(self._socket)
            await asyncio.sleep(0)
            # No wait_closed() after it: from Python 3.12 on that waits for the clients to leave.
            self._server.close()
            self._server = None
        self._socket.close()
        # To its task an abort looks like a client that left, which ends every wait there is.
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # its accept was under way at the close
            writer.transport.abort()
            return
        task = asyncio.create_task(self._converse(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                await writer.drain()
        except _BadRequestError as error:
            body = json.dumps({"detail": str(error)}).encode()
            writer.write(_head(400, {"Content-Length": len(body), "Connection": "close"}) + body)
            # Closing with input unread sends a RST, which would discard a 400 not ended by a FIN.
            with suppress(OSError):
                writer.write_eof()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client hung up: nobody is left to answer.
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; return whether the connection can carry another."""
        request = await _read_request(reader)
        path = request.path.partition("?")[0]
        if path in ("/healthz", "/_fault", "/_requests"):
            fault = Fault(FaultKind.NONE)
            status, payload = self._control(request, path)
        else:
            fault = self._record(request)
            status, payload = self._stock(request, path)

        headers: dict[str, object] = {"Content-Type": "application/json"}
        match fault.kind:
            case FaultKind.LATENCY:
                await self._hold(reader, fault.seconds)
            case FaultKind.HANG:
                await self._hold(reader, None)
            case FaultKind.RESET:
                linger = struct.pack("ii", 1, 0)  # on, 0 s: the close sends RST instead of FIN
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
            case FaultKind.GARBAGE:
                writer.write(b"\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n")
                return False
            case FaultKind.STATUS:
                status, payload = fault.status, {"detail": "injected fault"}
                if fault.retry_after is not None:
                    headers["Retry-After"] = fault.retry_after

        bodiless = request.method == "HEAD" or status in (204, 304)
        body = b"" if bodiless else json.dumps(payload).encode()
        close = request.headers.get("connection", "").lower() == "close"
        close |= fault.kind is FaultKind.SLOW_CLOSE
        if close:
            headers["Connection"] = "close"
        if fault.kind is not FaultKind.SLOW_CLOSE:
            headers["Content-Length"] = len(body) + (fault.kind is FaultKind.TRUNCATE)
        writer.write(_head(status, headers))
        if fault.kind is FaultKind.DRIP:
            for byte in body:
                await self._hold(reader, fault.seconds)
                writer.write(bytes([byte]))
        else:
            writer.write(body)
        if fault.kind is FaultKind.SLOW_CLOSE:
            await self._hold(reader, fault.seconds)
        return not close and fault.kind is not FaultKind.TRUNCATE

    async def _hold(self, reader: asyncio.StreamReader, seconds: float | None) -> None:
        """Wait (None: until the fault changes), but no longer than the client does."""
        # Else each client that times out would cost a file descriptor until the fault changes.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds) as hold:
                if seconds is None:
                    self._hung.add(hold)
                try:
                    await reader.read(1)
                finally:
                    self._hung.discard(hold)
                raise ConnectionResetError("the client left, or pipelined, before the answer")

    def _record(self, request: ReceivedRequest) -> Fault:
        """Count the request and return the fault that it meets."""
        self.requests.append(request)
        del self.requests[:-MAX_KEPT_REQUESTS]
        self.request_count += 1
        fault = self._fault
        if fault.times is not None:
            last = fault.times == 1
            self._fault = Fault(FaultKind.NONE) if last else replace(fault, times=fault.times - 1)
        return fault

    def _stock(self, request: ReceivedRequest, path: str) -> tuple[int, dict[str, object]]:
        root, _, sku = path[1:].partition("/")
        if root != "stock" or "/" in sku or (request.method == "GET" and not sku):
            return 404, {"detail": "no such path"}
        if request.method != "GET":
            return 200, {"accepted": True}
        sku = unquote(sku)
        if sku.startswith("missing"):
            return 404, {"detail": "unknown sku"}
        return 200, {"sku": sku, "available": self.stock.get(sku, DEFAULT_AVAILABLE)}

    def _control(self, request: ReceivedRequest, path: str) -> tuple[int, dict[str, object]]:
        match request.method, path:
            case "GET", "/healthz":
                return 200, {"status": "ok"}
            case "GET", "/_requests":
                return 200, {"count": self.request_count}
            case "GET", "/_fault":
                pass
            case "PUT", "/_fault":
                try:
                    self.fail(Fault.from_json(request.body))
                except ValueError as error:
                    return 400, {"detail": str(error)}
            case "DELETE", "/_fault":
                self.recover()
            case _:
                return 404, {"detail": "no such path"}
        return 200, asdict(self._fault)


def _head(status: int, headers: dict[str, object]) -> bytes:
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class _BadRequestError(Exception):
    """The client sent what is not a request of bounded size; the text is for the 400."""


async def _read_request(reader: asyncio.StreamReader) -> ReceivedRequest:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _BadRequestError(f"The request head is over {MAX_HEAD_BYTES} bytes.") from None
    request_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    start = re.fullmatch(r"([A-Z]+) (/\S*) HTTP/1\.1", request_line)
    if start is None:
        raise _BadRequestError("The request line is not that of HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _BadRequestError("A header line is malformed.")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise _BadRequestError("The body must come with a Content-Length.")
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise _BadRequestError(f"The body is over {MAX_BODY_BYTES} bytes.")
    return ReceivedRequest(start[1], start[2], headers, await reader.readexactly(int(length)))


async def _run(upstream: UnreliableUpstream) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with upstream:
        print(f"unreliable upstream ready at {upstream.url}", flush=True)
        await stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code, 1 if the port cannot be had."""
    parser = argparse.ArgumentParser(description="Serve a deliberately unreliable HTTP upstream.")
    parser.add_argument("--host", default="127.0.0.1", help="loopback only (%(default)s)")
    parser.add_argument("--port", type=int, default=9001, help="0 takes a free one (%(default)s)")
    args = parser.parse_args(argv)
    try:
        upstream = UnreliableUpstream(args.port, args.host)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_run(upstream))
    except OSError as error:
        print(f"Cannot serve at {upstream.url}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
