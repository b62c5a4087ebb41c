"""The checklist notices what is gone of the metrics and the alerts."""

from pathlib import Path

from tests.support.checklist import assert_red, change, copy_service, run_checklist


def test_what_is_gone_is_red(tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    change(copy, "ops/prometheus/alerts.yml", "- alert: NoData", "- alert: NoNews")
    change(copy, "ops/prometheus/alerts.yml", "event_loop_lag_seconds{", "loop_lag{")
    change(copy, "ops/grafana/dashboard.json", "circuit_breaker_state", "breaker_state")
    change(copy, "observability/metrics.py", '"application_errors_total"', '"errors_total"')
    items = {
        "error metrics": "application_errors_total does not count a failing request",
        "circuit breakers, watched": "no panel of the dashboard shows circuit_breaker_state",
        "alert rules": "nobody exports loop_lag",
        "runbooks": "alerts or pages alone: NoData, NoNews",
    }
    code, told, _ = run_checklist(copy, *items)
    assert code == 1
    assert_red(told, items)
