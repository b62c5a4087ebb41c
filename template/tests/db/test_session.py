"""The session of a request: committed before the answer, rolled back on whatever is raised, closed always."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, String, UniqueConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.subject import Base, ConflictError, Session, create_app, create_engine
from tests.subject import database as database_errors
from tests.support.bodies import read_error
from tests.support.database import LONG_STATEMENT, destroy_database, url_of
from tests.support.environment import make_settings
from tests.support.logs import LogLines
from tests.support.server import connect, serving

SECRET = "canary-4f9d2c71"
router = APIRouter(prefix="/notes")


class OfTests(DeclarativeBase):
    """The tables of tests are no part of the schema that the migrations make."""

    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Note(OfTests):
    """A table of the tests' own."""

    __tablename__ = "notes_of_tests"
    __table_args__ = (
        CheckConstraint("length(text) > 1", name="text_not_short", info={"field": "content"}),
        UniqueConstraint("text", info={"field": "content"}),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(50))
    parent: Mapped[int | None] = mapped_column(
        ForeignKey("notes_of_tests.id", deferrable=True, initially="DEFERRED"), default=None
    )


@router.post("/{after}", status_code=201)
async def write(after: str, session: Session, text_: str = SECRET, parent: int | None = None) -> dict[str, str]:
    """Write a row, then end as told."""
    session.add(Note(text=text_, parent=parent))
    await session.flush()
    if after == "domain":
        raise ConflictError("Note", "text", text_)
    if after == "foreign":
        raise RuntimeError(text_)
    if after == "cancelled":
        await asyncio.sleep(10)
    if after == "statement":
        await session.execute(text("SELECT nothing FROM nowhere"))
    return {"written": "yes"}


@router.post("/savepoint/{after}", status_code=201)
async def write_in_a_savepoint(after: str, session: Session) -> dict[str, str]:
    """Write a row in a transaction inside of the transaction, then end as told."""
    async with session.begin_nested():
        session.add(Note(text="nested"))
    if after == "domain":
        raise ConflictError("Note")
    return {"written": "yes"}


@router.get("/stream/{whose}")
async def stream(whose: str, session: Session, request: Request) -> StreamingResponse:
    """Read rows while they are sent."""

    async def rows() -> AsyncIterator[str]:
        async with request.state.sessions() as own:
            for note in await (own if whose == "own" else session).scalars(select(Note)):
                yield f"{note.id} "

    return StreamingResponse(rows())


@router.post("/background/{after}", status_code=202)
async def write_later(after: str, request: Request, tasks: BackgroundTasks) -> None:
    """Write when the answer has been sent."""

    async def work(session: AsyncSession) -> None:
        await write(after, session)

    tasks.add_task(request.state.transactions.run, work)


@router.post("/response/conflict")
async def answer(session: Session) -> JSONResponse:
    """Return an answer instead of raising."""
    session.add(Note(text="returned"))
    return JSONResponse({"mine": True}, status_code=409)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return url_of(tmp_path)


@pytest.fixture
async def notes_service(tmp_path: Path, database: str) -> AsyncIterator[str]:
    engine = create_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(OfTests.metadata.create_all)
    await engine.dispose()
    app = create_app(make_settings(tmp_path, REQUEST_DEADLINE_SECONDS="1"))
    app.include_router(router)
    with serving(app) as url:
        yield url


@pytest.fixture
async def notes(notes_service: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(notes_service) as client:
        yield client


async def _rows(database: str) -> int:
    engine = create_async_engine(database)
    async with engine.connect() as connection:
        count = (await connection.execute(text("SELECT count(*) FROM notes_of_tests"))).scalar_one()
    await engine.dispose()
    return int(count)


async def test_success_is_committed_when_the_answer_arrives(notes: httpx.AsyncClient, database: str) -> None:
    assert (await notes.post("/notes/success")).status_code == 201
    assert await _rows(database) == 1


@pytest.mark.parametrize(
    ("after", "status", "code"),
    [
        ("domain", 409, "conflict"),
        ("foreign", 500, "internal_error"),
        ("cancelled", 504, "timeout"),
        ("statement", 500, "internal_error"),
    ],
)
async def test_whatever_is_raised_keeps_its_status_and_rolls_back(
    notes: httpx.AsyncClient, database: str, logs: LogLines, after: str, status: int, code: str
) -> None:
    response = await notes.post(f"/notes/{after}")
    assert response.status_code == status
    assert read_error(response).code == code
    assert await _rows(database) == 0
    # Closed too: the next writer does not wait for a transaction left open.
    assert (await notes.post("/notes/success")).status_code == 201
    assert SECRET not in response.text + logs.getvalue()


@pytest.mark.parametrize(("after", "rows"), [("success", 1), ("domain", 0)])
async def test_a_savepoint_is_part_of_the_transaction(
    notes: httpx.AsyncClient, database: str, after: str, rows: int
) -> None:
    await notes.post(f"/notes/savepoint/{after}")
    assert await _rows(database) == rows


async def test_a_returned_answer_commits(notes: httpx.AsyncClient, database: str) -> None:
    assert (await notes.post("/notes/response/conflict")).status_code == 409
    assert await _rows(database) == 1


async def test_a_failing_commit_is_never_a_success(notes: httpx.AsyncClient, database: str, logs: LogLines) -> None:
    # The reference is checked at the commit, after the endpoint has returned.
    response = await notes.post("/notes/success?parent=77")
    assert response.status_code == 409
    assert read_error(response).code == "conflict"
    assert await _rows(database) == 0
    assert SECRET not in response.text + logs.getvalue()


@pytest.mark.parametrize(("query", "status"), [(f"text_={SECRET}", 409), ("text_=x", 422)])
async def test_a_constraint_tells_the_field_that_it_names_and_nothing_else(
    notes: httpx.AsyncClient,
    database: str,
    logs: LogLines,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    status: int,
) -> None:
    monkeypatch.setattr(database_errors, "Base", OfTests)
    assert (await notes.post(f"/notes/success?text_={SECRET}")).status_code == 201
    response = await notes.post(f"/notes/success?{query}")
    assert response.status_code == status
    assert '"content"' in str(read_error(response).raw).replace("'", '"')
    assert "text_not_short" not in response.text
    assert SECRET not in response.text + logs.getvalue()
    assert await _rows(database) == 1
    assert "notes_of_tests" not in response.text
    assert logs.of_level("error") == []


async def test_a_database_that_is_gone_is_unavailable(
    notes: httpx.AsyncClient, tmp_path: Path, database: str, logs: LogLines
) -> None:
    assert (await notes.post("/notes/success")).status_code == 201
    destroy_database(tmp_path)
    response = await notes.post("/notes/success?text_=again")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert read_error(response).code == "service_unavailable"
    assert (await notes.get("/livez")).status_code == 200
    logs.access(3)
    [error] = logs.of_level("error")
    assert error["exception"]["causes"][0]["type"].startswith("sqlalchemy.exc.")
    assert str(database) not in response.text


async def test_a_stream_has_a_session_of_its_own(notes: httpx.AsyncClient) -> None:
    await notes.post("/notes/success")
    assert (await notes.get("/notes/stream/own")).text == "1 "


async def test_the_one_of_its_endpoint_is_of_no_use_to_it(notes: httpx.AsyncClient, logs: LogLines) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await notes.get("/notes/stream/other")
    logs.access()
    [error] = [line for line in logs.of_level("error") if "exception" in line]
    assert error["error_type"] == "InvalidRequestError"


@pytest.mark.parametrize(("after", "rows"), [("success", 1), ("domain", 0)])
async def test_work_in_the_background_is_a_transaction_of_its_own(
    notes: httpx.AsyncClient, database: str, logs: LogLines, after: str, rows: int
) -> None:
    assert (await notes.post(f"/notes/background/{after}")).status_code == 202
    logs.access()
    assert await _rows(database) == rows


async def test_a_statement_that_nobody_waits_for_is_ended(tmp_path: Path) -> None:
    engine = create_engine(url_of(tmp_path))
    long = text(LONG_STATEMENT)
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), engine.connect() as connection:
            await connection.execute(long)
    assert time.monotonic() - begin < 5
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()
