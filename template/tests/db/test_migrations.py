"""The migrations lead to what the models say, forwards and backwards, and the start insists on them."""

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest
from alembic import autogenerate, command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer, MetaData, Table
from sqlalchemy.util import await_only

from tests.subject import PACKAGE, Base, create_engine, dialect, migrate_command, schema
from tests.support.database import unreachable_url
from tests.support.environment import environment, make_app, make_settings
from tests.support.logs import LogLines
from tests.support.server import connect, serving

NEW_TABLE = '''
"""A table of the tests' own."""
from alembic import op
import sqlalchemy as sa
revision, down_revision = "test", PREVIOUS
branch_labels = depends_on = None
def upgrade():
    op.create_table("made_by_tests", sa.Column("id", sa.Integer(), primary_key=True))
def downgrade():
    op.drop_table("made_by_tests")
'''


@pytest.fixture
def url(tmp_path: Path) -> str:
    return make_settings(tmp_path).database.url.get_secret_value()


@pytest.fixture
def longer_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The newest migration there was, after one more has been added."""
    previous = ScriptDirectory(str(schema.MIGRATIONS)).get_current_head()
    migrations = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, migrations)
    (migrations / "versions" / "new.py").write_text(NEW_TABLE.replace("PREVIOUS", repr(previous)))
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    return previous or ""


async def _differences(url: str, metadata: MetaData) -> list[object]:
    """What autogeneration would write a migration for."""

    def compare(connection: Connection) -> list[object]:
        return list(autogenerate.compare_metadata(MigrationContext.configure(connection), metadata))

    engine = create_engine(url)
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()
    return found


def _downgrade(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["url"] = url
    command.downgrade(config, "base")


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory(str(schema.MIGRATIONS)).get_heads()) <= 1


async def test_the_migrations_lead_to_the_models(url: str) -> None:
    await schema.migrate(url)
    assert await _differences(url, Base.metadata) == []


async def test_a_change_of_a_model_without_a_migration_is_noticed(url: str) -> None:
    await schema.migrate(url)
    changed = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.tables.values():
        table.to_metadata(changed).append_column(Column("forgotten", Integer))
    Table("forgotten", changed, Column("id", Integer, primary_key=True))
    assert len(await _differences(url, changed)) == len(Base.metadata.tables) + 1


async def test_the_way_back_leaves_nothing(url: str) -> None:
    await schema.migrate(url)
    await asyncio.to_thread(_downgrade, url)
    added = [entry[0] for entry in await _differences(url, Base.metadata) if isinstance(entry, tuple)]
    assert added.count("add_table") == len(Base.metadata.tables)
    await schema.migrate(url)
    assert await _differences(url, Base.metadata) == []


async def test_two_who_migrate_at_once_take_turns(url: str, longer_history: str) -> None:
    await asyncio.gather(*(schema.migrate(url) for _ in range(4)))
    engine = create_engine(url)
    assert await schema.require_schema(engine) == "test"
    await engine.dispose()


async def test_so_do_two_processes(url: str) -> None:
    """As two connections: the lock of this process does not know of them."""
    turns: list[str] = []

    def migrate(connection: Connection) -> None:
        with dialect.migrating(connection):
            turns.append("begin")
            await_only(asyncio.sleep(0.1))
            turns.append("end")

    async def process() -> None:
        engine = create_engine(url, dialect.MIGRATING)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
        await engine.dispose()

    await asyncio.gather(process(), process(), process())
    assert turns == ["begin", "end"] * 3


async def test_a_migration_that_fails_changes_nothing(url: str, longer_history: str) -> None:
    broken = schema.MIGRATIONS / "versions" / "new.py"
    broken.write_text(broken.read_text().replace("primary_key=True))", "primary_key=True)); raise RuntimeError"))
    with pytest.raises(RuntimeError):
        await schema.migrate(url)
    engine = create_engine(url)
    with pytest.raises(schema.SchemaOutdatedError, match="at nothing, and test is needed"):
        await schema.require_schema(engine)
    await engine.dispose()


async def _eventually_started(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/startupz")).status_code != 200:
            await asyncio.sleep(0.02)


async def test_production_refuses_an_outdated_schema_and_waits_for_the_migration(
    tmp_path: Path, url: str, logs: LogLines, monkeypatch: pytest.MonkeyPatch, longer_history: str
) -> None:
    monkeypatch.setattr(f"{PACKAGE}.lifespan.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(f"{PACKAGE}.lifespan.FIRST_RETRY_SECONDS", 0.1)
    with serving(make_app(tmp_path, ENVIRONMENT="production")) as base:
        async with connect(base) as client:
            async with asyncio.timeout(5):
                while not logs.of_level("error"):
                    await asyncio.sleep(0.02)
            for probe in ("/startupz", "/readyz"):
                response = await client.get(probe)
                assert (response.status_code, response.json()["reasons"]) == (503, ["starting"])
            assert (await client.get("/livez")).status_code == 200
            line = logs.of_level("error")[0]
            assert line["event"] == "the schema of the database is outdated"
            assert line["reason"] == "The schema is at nothing, and test is needed: run the migrations"
            await schema.migrate(url)
            await _eventually_started(client)


async def test_a_schema_of_a_newer_release_is_lived_with(
    tmp_path: Path, url: str, longer_history: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await schema.migrate(url)
    (schema.MIGRATIONS / "versions" / "new.py").unlink()
    with serving(make_app(tmp_path, ENVIRONMENT="production")) as base:
        async with connect(base) as client:
            await _eventually_started(client)


def test_the_command(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with environment(DATABASE_URL=url):
        assert migrate_command.main() == 0
    head = ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() or "no migrations"
    assert capsys.readouterr().out == f"The schema of the database is up to date ({head}).\n"
    with environment(DATABASE_URL=unreachable_url(tmp_path, "canary")):
        assert migrate_command.main() == 1
    assert "canary" not in capsys.readouterr().err
    with environment(DATABASE_URL="canary"):
        assert migrate_command.main() == 78
