"""The address of Redis is checked before the start, and its password never shown."""

from pathlib import Path

import pytest

from tests.subject import SettingsError, load_settings, settings_report
from tests.support.environment import environment


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "canary",
        "http://canary",
        "redis://",
        "redis://:canary@host:99999/0",
        "redis://:canary@host:6379/first",
        "redis://:canary@host?colour=red",
    ],
)
def test_a_wrong_address_is_named_and_not_repeated(url: str) -> None:
    with environment(REDIS_URL=url), pytest.raises(SettingsError) as refused:
        load_settings([])
    assert str(refused.value).startswith("REDIS_URL: ")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://host", "rediss://user:canary@host:6380/1?ssl_ca_certs=/ca.pem", "redis://:canary@10.0.0.1/0"]
)
def test_the_report_masks_the_password(url: str) -> None:
    with environment(REDIS_URL=url):
        settings = load_settings([])
        rows = {name: (value, origin) for name, value, origin in settings_report.lines(settings, [])}
    assert settings.redis.url.get_secret_value() == url
    assert rows["REDIS_URL"][0].partition(":")[0] in {"redis", "rediss"}
    assert rows["REDIS_URL"][1] == "environment"
    assert "canary" not in str(rows)
    assert "canary" not in repr(settings)
