"""The checklist is right about a service that is as it should be, and each item can turn red."""

from pathlib import Path

import pytest

from tests.subject import load_settings, settings
from tests.support.checklist import ROOT, assert_red, change, copy_service, run_checklist
from tests.support.environment import environment
from tools.checklist import __main__ as checklist
from tools.checklist.checks.release import unfit, unlocked
from tools.checklist.page import PAGE, Item, failed_tests, missing, read_page
from tools.drilled import UPSTREAM

OURS = f"UPSTREAM_{UPSTREAM.name}_".upper()

PRODUCTION = {"ENVIRONMENT": "production", f"{UPSTREAM.name}_BASE_URL".upper(): "https://upstream.example"}


def test_a_service_that_is_as_it_should_be() -> None:
    code, told, errors = run_checklist(ROOT)
    assert (code, errors) == (0, "")
    assert list(told) == [item.name for item in read_page()]
    assert {verdict for verdict, _ in told.values()} == {"pass", "not run"}
    assert told["settings for production"] == ("not run", "set ENVIRONMENT=production and the variables of production")


def test_what_is_switched_off_or_gone_is_red(tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    (copy / "tests/errors/test_hierarchy.py").unlink()
    change(copy, "tests/faults/test_shutdown.py", "def test_drain(", "def no_test(")
    change(copy, "requirements.lock", "\npybreaker==", "\npybreakers==")
    change(copy, PAGE, "| probes |", "| soundings |")
    change(copy, "Makefile", "\nmigrate:", "\nmigrations:")
    code, told, _ = run_checklist(
        copy,
        ERROR_HANDLING_ENABLE_ERROR_LOGGING="false",
        ERROR_HANDLING_ENABLE_ERROR_METRICS="false",
        CORS_ALLOW_ORIGINS="*",
        **PRODUCTION,
        **{f"{OURS}BREAKER_ENABLED": "false", f"{OURS}MAX_RETRIES": "0"},
    )
    assert code == 1
    none = f"{UPSTREAM.name} has none: breaker_enabled is false"
    assert_red(
        told,
        {
            "exceptions of our own": "gone: tests/errors/test_hierarchy.py::",
            "retries": f"{UPSTREAM.name}: 1 attempts",
            "circuit breakers": none,
            "classification of errors": "HTTPException leaves 0 records in the log",
            "error log": "LookupError leaves 0 records in the log",
            "health report": "it counts no errors: ERROR_HANDLING_ENABLE_ERROR_METRICS is false",
            "recovery, tested": none,
            "circuit breakers, watched": none,
            "settings for production": "CORS_ALLOW_ORIGINS lets every site read answers",
            "schema": "gone: make migrate",
            "soundings": "nothing checks it",
            "probes": f"{PAGE} does not have it",
            "draining": "gone: tests/faults/test_shutdown.py::test_drain",
            "lock files": "requirements.lock does not pin pybreaker",
        },
    )
    [(verdict, _)] = [told[item] for item in told if item.startswith("error ") and item != "error log"]
    assert verdict == "FAIL"  # Whoever counts errors.


def test_what_does_not_work_any_more_is_red(tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    for path, old, new in [
        ("web/public_errors.py", 'code=public["code"]', 'code="error"'),
        (
            "web/public_errors.py",
            "return _BUG",
            'return PublicError(500, "", "internal_error", str(error))',
        ),
        ("web/install.py", "    install_error_handlers(app, responder)\n", ""),
        ("web/admission.py", "self.degradation.level is ServiceLevel.OFFLINE", "False"),
        ("web/admission.py", "self.active_requests.count > self.max_active_requests", "False"),
        ("resilience/deadline.py", '"X-Request-Timeout-Ms"', '"X-Timeout"'),
        ("resilience/substitutes.py", "is not RecoveryStrategy.ESCALATE", "is not None"),
        ("health/routes.py", "if self.lifecycle.draining:", "if False:"),
    ]:
        change(copy, path, old, new)
    with next(copy.glob("src/*/db/base.py")).open("a", encoding="utf-8") as models:
        models.write(
            '\nfrom sqlalchemy import Column, Integer, Table\n\nTable("left", Base.metadata, Column("id", Integer))\n'
        )
    items = {
        "exceptions of our own": "the body is not the documented one",
        "handlers for whatever is raised": "an unknown path: ",
        "time limits": "a request past its deadline gets 200",
        "fallbacks": "a fallback hides a bug",
        "degradation": "offline, a request gets 200",
        "schema": "alembic check: ",
        "secrets stay inside": "the answer has a secret of the request",
        "bounds of a request": "one too many gets 200",
        "probes": "while it stops, /livez /readyz /startupz answer [200, 200, 200]",
        "draining": "told to stop, /readyz and /livez answer (200, 200)",
    }
    code, told, _ = run_checklist(copy, *items)
    assert code == 1
    assert_red(told, items)


def test_a_service_that_does_not_start_is_red(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_BODY_BYTES", "many")
    assert checklist.main(["probes"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("FAIL     probes  the service cannot be started\n")
    assert "MAX_BODY_BYTES" in output.err


def test_an_item_that_is_not_on_the_page_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        checklist.main(["luck"])
    assert capsys.readouterr().err.endswith(f"there is no item 'luck' in {PAGE}\n")


@pytest.fixture
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_no_env_file")
@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({f"{UPSTREAM.name}_BASE_URL".upper(): ""}, f"{UPSTREAM.name}_BASE_URL is this machine".upper()),
        ({"CORS_ALLOW_ORIGINS": "*"}, "CORS_ALLOW_ORIGINS lets every site read answers"),
        ({"SERVICE_LEVEL": "minimal"}, "SERVICE_LEVEL holds the service at minimal"),
        ({"DRAIN_SECONDS": "29"}, "REQUEST_DEADLINE_SECONDS is more than DRAIN_SECONDS"),
        ({"ERROR_HANDLING_CIRCUIT_BREAKER_ENABLED": "false"}, "ERROR_HANDLING_CIRCUIT_BREAKER_ENABLED is false"),
    ],
)
def test_settings_that_are_not_fit(variables: dict[str, str], problem: str) -> None:
    with environment(**{"DATABASE_URL": settings.DEFAULT_DATABASE_URL, **PRODUCTION, **variables}):
        [found] = unfit(load_settings([UPSTREAM]))
    assert problem.lower() in found.lower()


@pytest.mark.usefixtures("_no_env_file")
def test_settings_that_are_fit() -> None:
    with environment(**PRODUCTION):
        assert unfit(load_settings([UPSTREAM])) == ["DATABASE_URL is not set"]
    with environment(DATABASE_URL=settings.DEFAULT_DATABASE_URL, **PRODUCTION):
        assert unfit(load_settings([UPSTREAM])) == []


def test_a_dependency_that_is_not_locked() -> None:
    lock = "httpx==0.28.1 \\\n    --hash=sha256:00\nsqlalchemy==2.1.9\n"
    assert unlocked(["httpx>=0.28", "sqlalchemy[asyncio]>=2.1.9", "orjson"], lock) == ["sqlalchemy", "orjson"]


def test_what_a_row_names_and_nobody_has() -> None:
    there = Item(
        "there", ["settings.py", "docs"], ["tests/test_settings.py::test_values"], ["make drill", "curl /health"]
    )
    assert list(missing(there)) == []
    gone = Item(
        "gone", ["luck.py"], ["tests/test_luck.py::test_it", "tests/test_settings.py::test_luck"], ["make luck"]
    )
    assert list(missing(gone)) == [*gone.files, *gone.tests, *gone.commands]
    assert list(missing(there._replace(commands=["make test ARGS=tests/luck"]))) == ["tests/luck"]


def test_a_test_that_fails_is_told(tmp_path: Path) -> None:
    module = tmp_path / "test_it.py"
    module.write_text("def test_good(): pass\ndef test_bad(): assert 0\n", encoding="utf-8")
    ids = ["test_it.py::test_good", "test_it.py::test_bad"]
    assert failed_tests(ids, "-n0", root=tmp_path) == {ids[1]}
    assert failed_tests([*ids, "test_it.py::test_gone"], "-n0", root=tmp_path) == {*ids, "test_it.py::test_gone"}
