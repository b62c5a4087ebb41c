"""The checklist notices orders that come twice, and old answers that nobody asks for."""

from pathlib import Path

from tests.support.checklist import assert_red, change, copy_service, run_checklist


def test_an_order_that_is_made_twice_is_red(tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    change(copy, "orders/idempotency.py", "KEPT_SECONDS = 24 * 3600.0", "KEPT_SECONDS = -1.0")
    code, told, _ = run_checklist(copy, "idempotent orders")
    assert code == 1
    assert_red(told, {"idempotent orders": "an order that comes twice is two"})


def test_a_client_that_never_asks_for_its_older_answers_is_red(tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    change(copy, "upstreams/inventory.py", ".stale.call(", ".stale.forget(")
    code, told, _ = run_checklist(copy, "fallbacks")
    assert code == 1
    assert_red(told, {"fallbacks": "no call of `stale.call` in its client"})
