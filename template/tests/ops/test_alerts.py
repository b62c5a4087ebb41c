"""Each alert fires when it should, is quiet when it should be, and leads to a page that says what to do."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "ops/prometheus/alerts.yml").read_text(encoding="utf-8")
CASES = (ROOT / "ops/prometheus/alerts_test.yml").read_text(encoding="utf-8")

ALERT = re.compile(r"^ +- alert: (\w+)\b.*?(?=^ +- alert: |^ +#|^  - name: |\Z)", re.MULTILINE | re.DOTALL)
COMPARED = re.compile(r"(?<=[<>=] )[\d.]+")
PENDING = re.compile(r"(?<=for: )\d+m")

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="no promtool: apt-get install prometheus, for no wheel has it"
)


def _moved() -> Iterator[tuple[str, str]]:
    """Each alert and its rule with one number changed, up and down."""
    for alert in ALERT.finditer(RULES):
        rule = alert[0]
        for number in (*COMPARED.finditer(rule), *PENDING.finditer(rule)):
            for other in _others(number[0], equal=rule[number.start() - 3 :].startswith("==")):
                yield alert[1], rule[: number.start()] + other + rule[number.end() :]


def _others(number: str, *, equal: bool) -> tuple[str, str]:
    if number.endswith("m"):
        return "0m", "15m"
    if equal:
        return str(1 - int(number)), "7"
    return (f"{float(number) / 1.5:g}", f"{float(number) * 1.5:g}") if float(number) else ("-1", "1000")


def _cases(alert: str) -> str:
    head, *cases = re.split(r"^(?=  - name: )", CASES, flags=re.MULTILINE)
    return head + "".join(case for case in cases if re.match(rf"  - name: {alert}(,|$)", case, re.MULTILINE))


def _alone(alert: str, rule: str) -> str:
    """The rules without other alerts, which take their time."""
    return ALERT.sub(lambda other: rule if other[1] == alert else "", RULES)


def _promtool(folder: Path, rules: str, cases: str) -> "subprocess.CompletedProcess[str]":
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    (folder / "alerts_test.yml").write_text(cases, encoding="utf-8")
    command = ["promtool", "test", "rules", "alerts_test.yml"]
    # On one core: there are many of them, beside other tests.
    environment = {**os.environ, "GOMAXPROCS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@needs_promtool
def test_the_files_are_valid() -> None:
    for command in (["check", "config", "prometheus.yml"], ["check", "rules", "--lint-fatal", "alerts.yml"]):
        subprocess.run(["promtool", *command], cwd=ROOT / "ops/prometheus", check=True)


@needs_promtool
def test_every_case_holds(tmp_path: Path) -> None:
    done = _promtool(tmp_path, RULES, CASES)
    assert done.returncode == 0, done.stderr


@needs_promtool
@pytest.mark.parametrize(("alert", "rule"), list(_moved()), ids=lambda text: text if text.isidentifier() else "moved")
def test_no_number_can_be_changed_unnoticed(tmp_path: Path, alert: str, rule: str) -> None:
    done = _promtool(tmp_path, _alone(alert, rule), _cases(alert))
    assert "got:" in done.stderr, f"{rule}\n{done.stderr}"


def test_every_alert_compares_something() -> None:
    assert {alert for alert, _ in _moved()} == set(re.findall(r"- alert: (\w+)", RULES))


def test_every_alert_has_a_runbook_and_no_runbook_is_left_over() -> None:
    alerts = [(alert[1], alert[0]) for alert in ALERT.finditer(RULES)]
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/runbooks").glob("*.md")}
    assert {name for name, _ in alerts} == pages.keys()
    for name, rule in alerts:
        assert re.findall(r"runbook_url: (.*)", rule) == [f"docs/runbooks/{name}.md"]
        assert re.search(r"severity: (page|ticket)\n", rule)
        assert pages[name].startswith(f"# {name}\n")
