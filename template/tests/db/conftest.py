"""Failures of the database, provoked inside of the service."""

from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from fastapi import APIRouter
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from tests.subject import Base, ErrorClassifier, database
from tests.support.bodies import read_error
from tests.support.environment import make_app
from tests.support.logs import LogLines
from tests.support.server import connect, serving

SECRET = "canary-4f9d2c71"

THINGS = Table(
    "things",
    MetaData(naming_convention=Base.metadata.naming_convention),
    Column("id", Integer),
    Column("name", String(20), nullable=False),
    Column("size", SmallInteger),
    Column("parent", ForeignKey("things.id")),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("name", info={"field": "label"}),
    CheckConstraint("size > 0", name="size_positive", info={"field": "amount"}),
)
ROWS = [{"id": 1, "name": SECRET, "size": 1}, {"id": 2, "name": "two", "size": 1}]
NEW: dict[str, object] = {"id": 3, "name": SECRET[:-1], "size": 1, "parent": None}
INSERT = "INSERT INTO things (id, name, size, parent) VALUES (:id, :name, :size, :parent)"

Work = Callable[[], Awaitable[object]]


class Provoked(NamedTuple):
    """What became of a failure."""

    status: int
    code: str
    category: str
    field: str | None


Provoke = Callable[[Work], Awaitable[Provoked]]


class Failing:
    """An endpoint that does in the database what it is told, and the categories of what came of it."""

    def __init__(self) -> None:
        self.work: Work
        self.categories: list[str] = []
        self.router = APIRouter()
        self.router.add_api_route("/fail", self.fail)
        self._classifier = ErrorClassifier()
        database.register_errors(self._classifier)

    async def fail(self) -> None:
        """Do it."""
        try:
            async with database.database_errors():
                await self.work()
        except Exception as error:
            self.categories.append(self._classifier.classify(error).category)
            raise


@pytest.fixture(scope="module")
def failing() -> Failing:
    return Failing()


@pytest.fixture(scope="module")
def failing_url(failing: Failing, tmp_path_factory: pytest.TempPathFactory, _log_stream: LogLines) -> Iterator[str]:
    app = make_app(tmp_path_factory.mktemp("failing_database"))
    app.include_router(failing.router)
    with serving(app) as url:
        yield url


@pytest.fixture
def provoke(failing: Failing, failing_url: str, logs: LogLines, monkeypatch: pytest.MonkeyPatch) -> Provoke:
    """Have an endpoint do something that fails in the database, and check what is the same whatever it is."""
    monkeypatch.setattr(database, "Base", SimpleNamespace(metadata=THINGS.metadata))

    async def provoke(work: Work) -> Provoked:
        failing.work = work
        async with connect(failing_url) as client:
            answer = await client.get("/fail")
        category = failing.categories.pop()
        error = read_error(answer)
        assert answer.headers.get("retry-after") == ("1" if answer.status_code == 503 else None)
        # What is our fault leaves one line with the whole story, what is the client's none.
        records = [line for line in logs.of_level("error") if "exception" in line]
        assert [(line["status"], line["category"]) for line in records] == (
            [(answer.status_code, category)] if answer.status_code >= 500 else []
        )
        assert not [line for line in logs.all() if line["logger"].endswith("Pool")]
        for word in (SECRET[:-1], "things"):
            assert word not in answer.text
        assert SECRET[:-1] not in logs.getvalue()
        field = next((field for field in ("label", "amount") if f'"{field}"' in answer.text), None)
        return Provoked(answer.status_code, error.code, category, field)

    return provoke
