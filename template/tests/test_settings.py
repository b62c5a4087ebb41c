"""Settings come from the environment, are checked before the start, and never show a secret."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tenacity import wait_fixed

from tests.subject import (
    PACKAGE,
    ErrorHandlingSettings,
    Policy,
    Settings,
    SettingsError,
    Upstream,
    load_settings,
    settings_report,
)
from tests.support.database import URL_WITH_SECRETS
from tests.support.environment import environment

LEDGER = Upstream(name="ledger", base_url="http://ledger", policy=Policy(total_timeout=2.0, failure_ratio=0.5))


def _load(**variables: str) -> Settings:
    with environment(**variables):
        return load_settings([LEDGER])


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    settings = _load()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    assert settings.server.environment == "production"
    assert settings.http.service_level == "auto"
    assert settings.error_handling == ErrorHandlingSettings(
        default_timeout=30.0, connection_timeout=5.0, read_timeout=10.0
    )
    assert settings.base_urls == {"ledger": "http://ledger"}


def test_values() -> None:
    settings = _load(
        PORT="0",
        LOG_LEVEL="debug",
        CORS_ALLOW_ORIGINS="https://a.example, https://b.example",
        READY_REQUIRES="database",
        ERROR_HANDLING_DEFAULT_TIMEOUT="2.5",
        LEDGER_BASE_URL="http://ledger:9000",
        SERVICE_LEVEL="minimal",
        MAX_BODY_BYTES="",
    )
    assert (settings.server.port, settings.server.log_level) == (0, "DEBUG")
    assert settings.http.cors_allow_origins == ("https://a.example", "https://b.example")
    assert settings.http.ready_requires == ("database",)
    assert settings.error_handling.default_timeout == 2.5
    assert settings.base_urls == {"ledger": "http://ledger:9000/"}
    assert settings.http.max_body_bytes == 1_048_576
    assert settings.http.service_level == "minimal"


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=1\nREQUEST_DEADLINE_SECONDS=7\n")
    settings = _load(PORT="2")
    assert (settings.server.port, settings.http.request_deadline_seconds) == (2, 7)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "canary"),
        ("PORT", "70000"),
        ("ENVIRONMENT", "canary"),
        ("LOG_LEVEL", "canary"),
        ("REQUEST_DEADLINE_SECONDS", "0"),
        ("REQUEST_DEADLINE_SECONDS", "nan"),
        ("MAX_BODY_BYTES", "-1"),
        ("READY_REQUIRES", "canary"),
        ("SERVICE_LEVEL", "canary"),
        ("DATABASE_URL", "mysql://user:canary@host/db"),
        ("DATABASE_URL", "oracle://canary"),
        ("DATABASE_URL", "canary"),
        ("ERROR_HANDLING_DEFAULT_TIMEOUT", "-1"),
        ("ERROR_HANDLING_READ_TIMEOUT", "inf"),
        ("ERROR_HANDLING_MAX_RETRIES", "-1"),
        ("UPSTREAM_LEDGER_FAILURE_RATIO", "2"),
        ("LEDGER_BASE_URL", "canary"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        _load(**{variable: value})
    assert str(refused.value).startswith(f"{variable}: ")
    assert "\n" not in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_policy_is_made_of_layers() -> None:
    assert _load().policies["ledger"].max_retries == 3
    declared = _load().policies["ledger"]
    assert (declared.total_timeout, declared.attempt_timeout, declared.failure_ratio) == (2.0, 2.0, 0.5)
    general = _load(ERROR_HANDLING_DEFAULT_TIMEOUT="1.5", ERROR_HANDLING_MAX_RETRIES="0").policies["ledger"]
    assert (general.total_timeout, general.attempt_timeout, general.max_retries) == (1.5, 1.5, 0)
    own = _load(ERROR_HANDLING_MAX_RETRIES="0", UPSTREAM_LEDGER_MAX_RETRIES="2").policies["ledger"]
    assert own.max_retries == 2
    longer = _load(ERROR_HANDLING_READ_TIMEOUT="10", UPSTREAM_LEDGER_TOTAL_TIMEOUT="20").policies["ledger"]
    assert (longer.total_timeout, longer.attempt_timeout) == (20.0, 10.0)
    read = _load(ERROR_HANDLING_READ_TIMEOUT="5").policies["ledger"]
    assert (read.total_timeout, read.attempt_timeout) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("MAX_RETRIES", "7", "max_retries", 7),
        ("RETRY_DELAY", "0.3", "retry_delay", 0.3),
        ("RETRY_BACKOFF_MULTIPLIER", "3", "retry_backoff_multiplier", 3.0),
        ("CIRCUIT_BREAKER_ENABLED", "false", "breaker_enabled", False),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "9", "failure_threshold", 9),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "8", "recovery_timeout", 8.0),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "4", "success_threshold", 4),
        ("DEFAULT_TIMEOUT", "1.25", "total_timeout", 1.25),
        ("READ_TIMEOUT", "1.5", "attempt_timeout", 1.5),
    ],
)
def test_every_setting_of_error_handling_reaches_the_policies(
    name: str, value: str, field: str, expected: object
) -> None:
    assert getattr(_load(**{f"ERROR_HANDLING_{name}": value}).policies["ledger"], field) == expected


@pytest.mark.parametrize(
    "variables",
    [
        {"UPSTREAM_LEDGER_ATTEMPT_TIMEOUT": "3"},
        {"UPSTREAM_LEDGER_ATTEMPT_TIMEOUT": "3", "UPSTREAM_LEDGER_TOTAL_TIMEOUT": "1"},
        {"ERROR_HANDLING_READ_TIMEOUT": "3", "ERROR_HANDLING_DEFAULT_TIMEOUT": "1"},
    ],
)
def test_an_explicit_contradiction_stops_the_start(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="must not exceed"):
        _load(**variables)


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        _load(PORT="x", DATABASE_URL="y")
    assert len(str(refused.value).splitlines()) == 2


def test_a_misspelt_name_is_noticed() -> None:
    with pytest.raises(SettingsError, match="did you mean ERROR_HANDLING_DEFAULT_TIMEOUT"):
        _load(ERROR_HANDLING_DEFAULT_TIMOUT="3")
    with pytest.raises(SettingsError, match="did you mean UPSTREAM_LEDGER_MAX_RETRIES"):
        _load(UPSTREAM_LEDGER_MAX_RETRY="3")
    with pytest.raises(SettingsError, match="did you mean UPSTREAM_LEDGER_TOTAL_TIMEOUT"):
        _load(UPSTREAM_LEGDER_TOTAL_TIMEOUT="3")


def test_the_report_tells_the_origin_and_masks_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=ERROR\n")
    variables = {"PORT": "1", "DATABASE_URL": URL_WITH_SECRETS}
    rows = _report(variables)
    assert rows["PORT"] == ("1", "environment")
    assert rows["LOG_LEVEL"] == ("ERROR", ".env")
    assert rows["HOST"] == ("127.0.0.1", "default")
    assert rows["DATABASE_URL"][1] == "environment"
    assert "canary" not in str(rows)
    assert rows["LEDGER_BASE_URL"] == ("http://ledger", "code")


def test_the_report_tells_which_layer_decides_for_an_upstream() -> None:
    variables = {"UPSTREAM_LEDGER_MAX_CONCURRENCY": "7", "ERROR_HANDLING_MAX_RETRIES": "0"}
    rows = _report(variables)
    assert rows["UPSTREAM_LEDGER_MAX_CONCURRENCY"] == ("7", "environment")
    assert rows["UPSTREAM_LEDGER_MAX_RETRIES"] == ("0", "ERROR_HANDLING_MAX_RETRIES")
    assert rows["UPSTREAM_LEDGER_TOTAL_TIMEOUT"] == ("2.0", "code")
    assert rows["UPSTREAM_LEDGER_RETRY_DELAY"] == ("1.0", "default")
    assert rows["UPSTREAM_LEDGER_FAILURE_RATIO"] == ("0.5", "code")
    assert rows["UPSTREAM_LEDGER_FAILURE_THRESHOLD"] == ("", "not in use")


def test_the_report_shows_no_ratio_where_failures_in_a_row_count() -> None:
    rows = _report({"ERROR_HANDLING_CIRCUIT_BREAKER_FAILURE_THRESHOLD": "3"})
    general = "ERROR_HANDLING_CIRCUIT_BREAKER_FAILURE_THRESHOLD"
    assert rows["UPSTREAM_LEDGER_FAILURE_THRESHOLD"] == ("3", general)
    assert rows["UPSTREAM_LEDGER_FAILURE_RATIO"] == ("", "not in use")


def test_the_report_shows_no_delay_where_a_wait_is_declared() -> None:
    waiting = LEDGER.model_copy(update={"policy": Policy(wait=wait_fixed(1))})
    rows = _report({}, waiting)
    assert rows["UPSTREAM_LEDGER_RETRY_DELAY"] == rows["UPSTREAM_LEDGER_RETRY_BACKOFF_MULTIPLIER"] == ("", "not in use")
    assert rows["UPSTREAM_LEDGER_MAX_RETRIES"] == ("3", "default")


def _report(variables: Mapping[str, str], upstream: Upstream = LEDGER) -> dict[str, tuple[str, str]]:
    with environment(**variables):
        report = settings_report.lines(load_settings([upstream]), [upstream])
        return {name: (value, origin) for name, value, origin in report}


def test_a_wrong_environment_stops_the_start_with_a_sentence() -> None:
    command = [sys.executable, "-m", PACKAGE]
    with environment(PORT="canary"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert "PORT: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr
