"""The checklist notices orders that come twice."""

from pathlib import Path

from tests.support.checklist import assert_red, change, copy_service, run_checklist


def test_an_order_that_is_made_twice_is_red(tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    change(copy, "orders/idempotency.py", "KEPT_SECONDS = 24 * 3600.0", "KEPT_SECONDS = -1.0")
    code, told, _ = run_checklist(copy, "idempotent orders")
    assert code == 1
    assert_red(told, {"idempotent orders": "an order that comes twice is two"})
