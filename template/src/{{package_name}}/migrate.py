"""`make migrate`: bring the database of the settings to the schema that this version of the service needs."""

import asyncio
import sys

from .db.engine import create_engine
from .db.schema import migrate, require_schema
from .observability.exceptions import as_text, describe_exception
from .settings import CONFIGURATION_ERROR, SettingsError, load_settings
from .upstreams.registry import UPSTREAMS


async def bring_up_to_date(url: str) -> str:
    """Run what is missing; the newest migration that the database then has."""
    await migrate(url)
    engine = create_engine(url)
    try:
        return await require_schema(engine)
    finally:
        await engine.dispose()


def main() -> int:
    """Migrate; 1 if that fails, 78 if the settings are not acceptable."""
    try:
        url = load_settings(UPSTREAMS).database.url.get_secret_value()
        revision = asyncio.run(bring_up_to_date(url))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return CONFIGURATION_ERROR
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told without what it may quote
        print(f"Cannot migrate.\n{as_text(describe_exception(error))}", file=sys.stderr)
        return 1
    print(f"The schema of the database is up to date ({revision or 'no migrations'}).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
