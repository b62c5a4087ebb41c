"""Errors: classes, answers, classification and their records."""

import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import sqlalchemy.exc
import tenacity
from starlette.exceptions import HTTPException

from tools.checklist.registry import expect, shows
from tools.checklist.service import Service
from tools.subject import MEDIA_TYPE, OPERATION_PATHS, ApplicationError, NotFoundError

CANARY = "canary-7d1c20b9"


@shows("exceptions of our own")
async def exceptions(service: Service) -> str:
    """A route raises one of each class, those of the service itself included."""
    kinds: list[type[ApplicationError]] = [ApplicationError, *_below(ApplicationError)]
    for kind in kinds:
        error = _sample(kind)
        _documented(kind.__name__, await service.answer_to(error), error.status_code, error.code)
    return f"{len(kinds)} classes, each with its status and code"


def _below(kind: type[ApplicationError]) -> Iterator[type[ApplicationError]]:
    for below in kind.__subclasses__():
        yield from (below, *_below(below))


def _sample(kind: type[ApplicationError]) -> ApplicationError:
    """One of the class, from what its constructor insists on."""
    made: dict[Any, Any] = {float: 1.0, int: 1, BaseException: LookupError(), Exception: LookupError()}
    parameters = inspect.signature(kind, eval_str=True).parameters.values()
    needed = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    values: Any = {one.name: made.get(one.annotation, "checked") for one in needed}
    return kind(**values)


def _documented(what: str, response: httpx.Response, status: int, code: str) -> None:
    """The answer has the status and the body that every error has."""
    expect(response.status_code == status, f"{what}: {response.status_code} instead of {status}")
    expect(response.headers["content-type"] == MEDIA_TYPE, f"{what}: {response.headers['content-type']}")
    body = response.json()
    body = body.get("error", body)
    seen = body.get("code"), body.get("request_id")
    expect(seen == (code, response.headers["x-request-id"]), f"{what}: the body is not the documented one")


@shows("handlers for whatever is raised")
async def handlers(service: Service) -> str:
    """By a route, by the framework, and by nobody's intention."""
    client = service.client
    answers = [
        ("an unknown path", await client.get("/checklist/nowhere"), 404, "not_found"),
        ("a wrong method", await client.delete("/livez"), 405, "method_not_allowed"),
        ("a wrong body", await client.post("/checklist/body", json={"number": "x"}), 422, "validation_error"),
        ("no JSON", await client.post("/checklist/body", content=b"\xff"), 422, "validation_error"),
        ("an HTTPException", await service.answer_to(HTTPException(409)), 409, "conflict"),
        ("a bug", await service.answer_to(LookupError(CANARY)), 500, "internal_error"),
        ("a group", await service.answer_to(ExceptionGroup("", [NotFoundError("Thing", "1")])), 404, "not_found"),
    ]
    for what, response, status, code in answers:
        _documented(what, response, status, code)
        expect(CANARY not in response.text, f"{what}: the answer quotes the exception")
    return f"{len(answers)} ways to fail, one body"


@shows("classification of errors")
async def classification(service: Service) -> str:
    """One exception of each layer; the record of it tells the category."""
    errors = {
        HTTPException(503): "service_unavailable",
        httpx.ConnectTimeout(""): "timeout",
        sqlalchemy.exc.TimeoutError(): "service_unavailable",
        tenacity.RetryError(tenacity.Future.construct(1, TimeoutError(), has_exception=True)): "timeout",
        ConnectionResetError(): "network",
        LookupError(): "internal",
    }
    for error, category in errors.items():
        record = await _record(service, error)
        seen = record.get("category")
        expect(seen == category, f"{type(error).__name__} is {seen}, not {category}")
    return f"{len(errors)} kinds of exception from {len(errors)} sources"


async def _record(service: Service, error: Exception) -> dict[str, Any]:
    """The line that an error leaves."""
    service.take_lines()
    response = await service.answer_to(error)
    name = response.headers["x-request-id"]
    lines = [line for line in service.take_lines() if line.get("request_id") == name and "severity" in line]
    expect(len(lines) == 1, f"{type(error).__name__} leaves {len(lines)} records in the log")
    return lines[0]


@shows("error log")
async def error_log(service: Service) -> str:
    """JSON, with the request, the class, the verdict and the stack."""
    record = await _record(service, LookupError())
    wanted = {"timestamp", "level", "logger", "event", "request_id", "status", "error_type", "severity", "exception"}
    expect(not wanted - record.keys(), f"the record lacks {', '.join(sorted(wanted - record.keys()))}")
    level = service.settings.server.log_level
    expect(level != "CRITICAL", "LOG_LEVEL=CRITICAL leaves errors out")
    return f"a record has {len(record)} fields; LOG_LEVEL is {level}"


@shows("secrets stay inside")
async def secrets(service: Service) -> str:
    """A request with secrets fails and is quoted by the exception; nothing that comes out has them."""
    service.take_lines()
    response = await service.client.get(
        "/checklist/quote",
        params={"token": CANARY},
        headers={"Authorization": f"Bearer {CANARY}", "Cookie": f"session={CANARY}", "X-Api-Key": CANARY},
    )
    places = {"the answer": f"{response.text} {response.headers}", "the log": str(service.take_lines())}
    for path in OPERATION_PATHS:
        places[path] = (await service.client.get(path)).text
    for place, text in places.items():
        expect(CANARY not in text, f"{place} has a secret of the request")
    return f"none of a request's secrets in {len(places)} places"
