"""The checklist shows that replicas share their circuit breakers, and notices when they do not."""

from pathlib import Path

from tests.support.checklist import ROOT, assert_red, change, copy_service, run_checklist

ITEM = "shared circuit breakers"


def test_two_replicas_meet(redis_url: str) -> None:
    code, told, _ = run_checklist(ROOT, ITEM, REDIS_URL=redis_url)
    assert (code, told) == (0, {ITEM: ("pass", "two replicas opened as one; served without Redis")})


def test_replicas_that_do_not_meet_are_red(redis_url: str, tmp_path: Path) -> None:
    copy = copy_service(tmp_path)
    change(copy, "fleet/sync.py", 'return f"breaker:{fleet}:{breaker}"', 'return f"breaker:{secrets.token_hex(8)}"')
    code, told, _ = run_checklist(copy, ITEM, REDIS_URL=redis_url)
    assert code == 1
    assert_red(told, {ITEM: "one failure of each of two replicas does not open what two failures open"})
