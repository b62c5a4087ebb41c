"""The bulkhead, the retry budget and the window of outcomes."""

import pytest

from tests.subject import BURST, Bulkhead, OutcomeWindow, OverloadedError, RetryBudget
from tests.support.clock import Clock


def test_a_full_bulkhead_refuses() -> None:
    bulkhead = Bulkhead("stock", 2)
    bulkhead.enter()
    bulkhead.enter()
    with pytest.raises(OverloadedError) as refused:
        bulkhead.enter()
    assert refused.value.headers == {"Retry-After": "1"}
    assert bulkhead.in_use == 2
    bulkhead.leave()
    bulkhead.enter()
    assert bulkhead.in_use == 2


def test_a_tenth_of_the_calls_may_be_retried() -> None:
    budget = RetryBudget(0.1, minimum=0, clock=Clock())
    budget.calls += 95
    assert [budget.spend() for _ in range(10)] == [True] * 9 + [False]


def test_ten_calls_earn_a_retry() -> None:
    budget = RetryBudget(0.1, minimum=0, clock=Clock())
    budget.calls += 10
    assert [budget.spend(), budget.spend()] == [True, False]


def test_a_quiet_time_saves_up_no_more_than_a_burst() -> None:
    budget = RetryBudget(0.5, minimum=0, clock=Clock())
    budget.calls += 10_000
    assert sum(budget.spend() for _ in range(100)) == BURST


def test_a_few_retries_need_not_be_earned() -> None:
    clock = Clock()
    budget = RetryBudget(0.1, minimum=3, window=10, clock=clock)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    clock.pass_(9.9)
    assert not budget.spend()
    clock.pass_(0.1)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


def test_a_budget_of_nothing() -> None:
    budget = RetryBudget(0.0, clock=Clock())
    budget.calls += 1
    assert not budget.spend()


def test_the_window_forgets_slot_by_slot() -> None:
    clock = Clock()
    window = OutcomeWindow(10, clock)
    window.add_failure()
    clock.pass_(5)
    window.add_success()
    window.add_failure()
    assert window.counts() == (3, 2)
    clock.pass_(5)
    assert window.counts() == (2, 1)
    clock.pass_(100)
    assert window.counts() == (0, 0)
    window.add_failure()
    window.clear()
    assert window.counts() == (0, 0)
