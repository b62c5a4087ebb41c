"""A drill tells what became of clients and of the upstream, and fails when a promise is broken."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.subject import DEFAULTS, Policy
from tools import drill
from tools.drilled import UPSTREAM
from tools.load import FRESH, NO_ANSWER, STALE, Answer
from tools.scorecard import LEAST_RETRIES, SLACK, Promises, Score
from tools.throwaway import throwaway_database

ROOT = Path(__file__).parents[2]
PREFIX = f"UPSTREAM_{UPSTREAM.name}_".upper()
QUICK = (f"{PREFIX}RECOVERY_TIMEOUT", "1")

POLICY = Policy(total_timeout=2.0, recovery_timeout=5.0, max_retries=3, retry_budget=0.1).over(DEFAULTS)
PROMISES = Promises.of(POLICY, frozenset({"200", "404", "500", "503"}))
GOOD = [Answer(FRESH, 0.1), Answer(STALE, 0.1), Answer("503", 2.0)] * 100


def _nobody_is_left(process: "subprocess.Popen[str]") -> bool:
    """Whether the drill and all that it started are gone: each of them inherits its standard input."""
    assert process.stdin is not None
    try:
        process.stdin.write("x")
        process.stdin.close()
    except BrokenPipeError:
        return True
    return False


def test_the_database_of_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drill fills tables and fails on purpose."""
    monkeypatch.setenv("DATABASE_URL", "the one in use")
    with throwaway_database() as url:
        assert url != "the one in use"


def test_a_drill_of_real_processes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*QUICK)
    assert drill.main(["503", "--seconds", "1"]) == 0
    *_, heading, ours, naive, _, verdict = capsys.readouterr().out.splitlines()
    assert heading.startswith("fault ")
    name, who, requests, fresh, stale, *_, kept = ours.split()
    assert (name, who, requests, kept) == ("503", "service", "20", "kept")
    # A retry that comes after the fault finds a fresh answer; on a busy machine several do.
    assert int(fresh) < 20
    assert int(stale) > 0
    assert re.search(r"\d+ × 503", ours)
    assert naive.split()[:2] == ["naive", "20"]
    assert verdict == "Every promise was kept."


def test_a_broken_promise_fails_the_drill(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*QUICK)
    assert drill.main(["hang", "--seconds", "1", "--within", "0.1"]) == 1
    score, _, broken = capsys.readouterr().out.partition("Broken promises:\n")
    assert "BROKEN" in score
    assert broken.startswith("hang: a client waited ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_no_process(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tools.drill"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("Starting")
        process.send_signal(number)
        assert (process.stderr.read(), process.wait()) == ("Interrupted.\n", 1)
        assert _nobody_is_left(process)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["flood"], "there is no fault 'flood'"),
        (["--seconds", "0"], "--seconds must be"),
        (["--seconds", "nan"], "--seconds must be"),
        (["--within", "-1"], "--within must be"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "COMMAND", ("-c", "raise SystemExit('started')"))
    with pytest.raises(SystemExit, match="2"):
        drill.main(arguments)
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_wrong_setting_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}TOTAL_TIMEOUT", "-1")
    assert drill.main(["none"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Cannot drill: {PREFIX}TOTAL_TIMEOUT")


def test_a_service_that_does_not_start_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "COMMAND", ("-c", "raise SystemExit('The port is taken.')"))
    assert drill.main(["none"]) == 1
    assert capsys.readouterr().err == "Cannot drill: the service did not start. The port is taken.\n"


async def test_a_route_that_is_not_there_is_told_in_a_sentence(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "ROUTE", "/nowhere/{key}")
    with pytest.raises(
        drill.NoRouteError, match=re.escape("the service has no GET /nowhere/{key}; see tools/drilled.py")
    ):
        await drill._documented(service)


def test_what_is_promised_is_kept() -> None:
    assert list(PROMISES.broken(Score("hang", GOOD, attempts=343, recovered=7.0, lasted=7.0))) == []


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        (Score("hang", [*GOOD, Answer("503", 2.6)], 301, 7.0, 7.0), "hang: a client waited 2.60 s; promised are 2 s"),
        (Score("hang", GOOD, 344, 7.0, 7.0), "hang: 344 attempts reached the upstream; promised are at most 343"),
        (
            Score("hang", [Answer("503", 0.1)], 5, 7.0, 7.0),
            "hang: 5 attempts reached the upstream; promised are at most 4",
        ),
        (Score("hang", [*GOOD, Answer("500", 0.1)], 301, 7.0, 7.0), "hang: clients got 500, which is not documented"),
        (
            Score("hang", [*GOOD, Answer(NO_ANSWER, 0.1)], 1, 7.0, 7.0),
            "hang: clients got no answer, which is not documented",
        ),
        (Score("hang", GOOD, 300, 7.6, 7.0), "hang: no fresh answer within 7 s of its end"),
        (Score("hang", GOOD, 300, None, 7.0), "hang: no fresh answer within 7 s of its end"),
    ],
)
def test_each_promise_can_be_broken(score: Score, sentence: str) -> None:
    assert list(PROMISES.broken(score)) == [sentence]
    assert (SLACK, LEAST_RETRIES) == (0.5, 3)


def test_what_a_policy_turns_off_is_promised_accordingly() -> None:
    strict = Promises.of(Policy(retry_budget=0.0, breaker_enabled=False).over(POLICY), frozenset(), within=1.0)
    assert (strict.within, strict.most_attempts(10, 7.0), strict.recovery) == (1.0, 10, 2.0)
    assert PROMISES.most_attempts(1000, 25.0) == 1000 + 100 + 10 + 3 * 3
    free = Promises.of(Policy(max_retries=0).over(POLICY), frozenset())
    assert free.most_attempts(10, 7.0) == 10
