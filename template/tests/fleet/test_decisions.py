"""What the fleet makes of its reports, step by step: the real script on a real Redis, and a clock of our own."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.subject import CircuitBreakerOpenError, CircuitState, ServiceUnavailableError
from tests.support.fleet import Fleet

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
Make = Callable[..., Fleet]


@pytest.fixture
def make(redis_url: str, fleet: str) -> Any:
    """Makes a fleet that is in step."""
    with redis.Redis.from_url(redis_url) as server:

        def make(count: int, **policy: Any) -> Fleet:
            made = Fleet(
                server,
                fleet,
                count,
                **{"failure_threshold": 5, "recovery_timeout": 30, "success_threshold": 2} | policy,
            )
            made.exchange_all()
            return made

        yield make


@pytest.fixture
def opened(make: Make) -> Fleet:
    """Three replicas that have opened."""
    fleet = make(3)
    fleet.fail(0, 3)
    fleet.fail(1, 2)
    fleet.exchange_all()
    assert fleet.states == [OPEN] * 3
    return fleet


def test_failures_of_all_count_together(make: Make) -> None:
    fleet = make(3)
    fleet.fail(0, 3)
    fleet.fail(1, 1)
    fleet.exchange_all()
    assert fleet.states == [CLOSED] * 3
    fleet.fail(2)
    fleet.exchange(2)
    assert fleet.states == [CLOSED, CLOSED, OPEN]
    fleet.exchange_all()
    assert fleet.states == [OPEN] * 3
    assert fleet.willing == []


def test_a_success_anywhere_begins_the_count_anew(make: Make) -> None:
    fleet = make(3)
    fleet.fail(0, 4)
    fleet.succeed(1)
    fleet.fail(2, 4)
    fleet.exchange_all()
    assert fleet.states == [CLOSED] * 3
    fleet.fail(0)
    fleet.exchange_all()
    assert fleet.states == [OPEN] * 3


def test_many_replicas_with_some_failures_are_well(make: Make) -> None:
    fleet = make(30)
    for _ in range(3):
        for number in range(30):
            fleet.fail(number)
            fleet.succeed(number, 9)
        fleet.exchange_all()
    assert set(fleet.states) == {CLOSED}


def test_one_that_fails_opens_itself_alone(make: Make) -> None:
    fleet = make(3)
    for _ in range(3):
        fleet.fail(0, 5)
        fleet.exchange_all()
        fleet.succeed(1)
        fleet.succeed(2)
        fleet.exchange_all()
        assert fleet.states == [OPEN, CLOSED, CLOSED]
        fleet.clock.pass_(30)
        fleet.exchange_all()
        assert fleet.willing == [0, 1, 2]
        fleet.members[0].close()
    fleet.exchange_all()
    assert fleet.states == [CLOSED] * 3


def test_a_single_replica_is_a_plain_breaker(make: Make) -> None:
    fleet = make(1)
    fleet.fail(0, 5)
    fleet.exchange_all()
    assert fleet.states == [OPEN]
    fleet.clock.pass_(30)
    fleet.succeed(0, 2)
    fleet.exchange_all()
    assert fleet.states == [CLOSED]


def test_the_dead_do_not_count(make: Make) -> None:
    fleet = make(3)
    fleet.fail(0, 4)
    fleet.exchange(0)
    fleet.clock.pass_(10)
    fleet.fail(1)
    fleet.exchange(1)
    fleet.exchange(2)
    assert fleet.states == [CLOSED] * 3


def test_a_success_counts_longer_than_who_has_seen_it(make: Make) -> None:
    fleet = make(3)
    fleet.fail(0, 3)
    fleet.succeed(2)
    fleet.exchange_all()
    fleet.clock.pass_(10)
    for number in (1, 0, 1):
        fleet.fail(number)
        for _ in range(2):
            fleet.exchange(0)
            fleet.exchange(1)
    assert fleet.states == [CLOSED] * 3  # Three failures, and six with those before it.
    fleet.fail(1, 2)
    fleet.exchange(1)
    assert fleet.states[1] is OPEN


def test_the_dead_do_not_pile_up(make: Make) -> None:
    dead = make(20)
    dead.set_forward -= 60
    dead.exchange_all()
    assert make(2).remembered == 2


def test_failures_in_a_row_and_shares_do_not_add_up(make: Make) -> None:
    """As while a release changes the policy."""
    old, new = make(2, failure_ratio=0.5, minimum_calls=10, window=10), make(2)
    new.clock = old.clock
    for number in (0, 1):
        old.succeed(number, 97)
        old.fail(number, 3)
    old.exchange_all()
    new.fail(0)
    new.exchange_all()
    assert (old.states, new.states) == ([CLOSED] * 2, [CLOSED] * 2)
    new.fail(0, 2)
    new.fail(1, 2)
    new.exchange_all()
    old.exchange_all()
    assert (old.states, new.states) == ([OPEN] * 2, [OPEN] * 2)


def test_a_share_of_all_calls_opens(make: Make) -> None:
    fleet = make(3, failure_ratio=0.5, minimum_calls=10, window=10)
    for number in (0, 1):
        fleet.succeed(number, 2)
        fleet.fail(number, 2)
    fleet.exchange_all()
    assert fleet.states == [CLOSED] * 3  # Too few calls.
    fleet.succeed(2, 4)
    fleet.exchange_all()
    assert fleet.states == [CLOSED] * 3  # Too small a share.
    fleet.fail(1, 4)
    fleet.exchange_all()
    assert fleet.states == [OPEN] * 3
    fleet.clock.pass_(30)
    fleet.exchange_all()
    (holder,) = fleet.willing
    fleet.succeed(holder, 2)
    fleet.exchange_all()
    assert fleet.states == [CLOSED] * 3  # And what had opened it does not count again.


def test_a_share_of_one_replica_opens_it_alone(make: Make) -> None:
    fleet = make(3, failure_ratio=0.5, minimum_calls=10, window=10)
    fleet.fail(0, 10)
    fleet.exchange_all()
    fleet.fail(1)
    fleet.succeed(1, 20)
    fleet.exchange_all()
    assert fleet.states == [OPEN, CLOSED, CLOSED]


def test_one_at_a_time_may_try_and_successes_add_up(opened: Fleet) -> None:
    opened.clock.pass_(29.8)
    opened.exchange_all()
    assert opened.willing == []
    opened.clock.pass_(0.2)
    opened.exchange_all()
    (first,) = opened.willing
    opened.succeed(first)
    second = (first + 1) % 3
    for _ in range(100):  # Those who are refused get their turn: half of the time, as a coin decides.
        with pytest.raises(CircuitBreakerOpenError):
            opened.members[second].guard().__enter__()
        opened.exchange_all()
        assert len(opened.willing) == 1
        if opened.willing == [second]:
            break
    opened.succeed(second)
    opened.exchange_all()
    assert opened.states == [CLOSED] * 3


def test_a_trial_keeps_the_lease_as_long_as_it_lasts(opened: Fleet) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    trial = opened.members[holder].admit()
    for _ in range(100):
        for one in range(3):
            with pytest.raises(CircuitBreakerOpenError):
                opened.members[one].admit()
        opened.exchange_all()
    opened.members[holder].succeeded(trial)
    opened.exchange_all()
    assert len(opened.willing) == 1


@pytest.mark.parametrize("order", [[0, 1, 2], [2], [0, 0, 1]])
def test_few_calls_in_whatever_order_find_the_lease(opened: Fleet, order: list[int]) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    for number in order * 50:
        if opened.willing == [number]:
            opened.succeed(number)
        else:
            with pytest.raises(CircuitBreakerOpenError):
                opened.members[number].admit()
        for _ in range(50):  # More would tell nothing new.
            opened.exchange_all(1)
        if set(opened.states) == {CLOSED}:
            return
    pytest.fail("it stays open")


def test_a_lease_is_not_used_late(opened: Fleet) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.clock.pass_(0.3)
    assert opened.willing == []
    opened.clock.pass_(2.2)
    other = (holder + 1) % 3
    opened.exchange(other)
    assert opened.willing == [other]


def test_an_idle_holder_begins_nothing_while_it_asks(opened: Fleet) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.members[holder].report()
    assert opened.willing == []


def test_a_failed_trial_begins_the_pause_anew_and_gives_others_the_next(opened: Fleet) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.fail(holder)
    opened.clock.pass_(10)
    opened.exchange_all()
    assert opened.states == [OPEN] * 3
    opened.clock.pass_(19)
    opened.exchange_all()
    assert opened.willing == []
    opened.clock.pass_(1)
    opened.exchange_all()
    (next_one,) = opened.willing
    assert next_one != holder


def test_a_failure_that_is_told_late_takes_nobody_the_lease(opened: Fleet) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.fail(holder)
    opened.clock.pass_(31)
    others = [number for number in range(3) if number != holder]
    opened.exchange(others[0])
    assert opened.willing == [others[0]]
    opened.exchange(holder)
    opened.exchange(others[1])
    assert opened.willing == [others[0]]


def test_one_is_closed_by_hand_and_all_are(opened: Fleet) -> None:
    opened.members[1].close()
    opened.exchange_all()
    assert opened.states == [CLOSED] * 3
    opened.fail(0)
    opened.fail(1)
    opened.exchange_all()
    assert opened.states == [CLOSED] * 3  # What had opened it does not count again.


def test_a_newcomer_learns_that_it_is_open(make: Make, opened: Fleet) -> None:
    newcomer = make(3)
    assert newcomer.states == [OPEN] * 3


def test_alone_each_tries_for_itself(opened: Fleet) -> None:
    for one in opened.members:
        one.leave()
    opened.clock.pass_(31)
    assert opened.willing == [0, 1, 2]
    opened.succeed(0, 2)
    opened.fail(1)
    assert opened.states == [CLOSED, OPEN, OPEN]
    opened.exchange_all()
    assert len(set(opened.states)) == 1


@pytest.mark.parametrize("lost", [True, False])
def test_what_redis_forgets_comes_back(opened: Fleet, lost: bool) -> None:
    opened.forget()
    opened.exchange(0, lost=lost)
    opened.exchange_all()
    assert opened.states == [OPEN] * 3
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.succeed(holder, 2)
    opened.forget()
    opened.exchange_all()
    assert opened.states == [CLOSED] * 3


def test_two_memories_with_the_same_number_become_one(opened: Fleet) -> None:
    opened.members[1].close()
    opened.exchange(1)  # The second change, which nobody else learns of.
    opened.forget()
    opened.exchange(0)
    opened.members[0].open()
    opened.exchange(0)  # Another second change.
    opened.exchange_all()
    assert opened.states == [OPEN] * 3


def test_a_clock_that_is_set_back_does_not_make_it_longer(opened: Fleet) -> None:
    opened.set_forward -= 3600
    opened.exchange_all()
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.set_forward -= 3600
    other = (holder + 1) % 3
    opened.exchange(other)
    opened.clock.pass_(31)
    opened.exchange(other)
    assert opened.willing == [other]


def test_the_dead_of_a_time_to_come_do_not_count(make: Make) -> None:
    fleet = make(3)
    fleet.succeed(2)
    fleet.exchange_all()
    fleet.set_forward -= 3600
    fleet.fail(0, 3)
    fleet.fail(1, 3)
    for number in (0, 1, 0):
        fleet.exchange(number)
    assert fleet.states == [OPEN, OPEN, CLOSED]


def test_what_trips_while_redis_is_away_comes_together(make: Make) -> None:
    fleet = make(3)
    for one in fleet.members:
        one.leave()
    for number in (0, 1):
        fleet.fail(number, 5)
    fleet.forget()
    fleet.clock.pass_(20)
    fleet.exchange_all()
    assert fleet.states == [OPEN] * 3
    assert fleet.willing == []


def test_a_late_answer_changes_nothing(make: Make) -> None:
    fleet = make(2)
    fleet.fail(0, 3)
    fleet.exchange(0)
    breaker = fleet.members[1]
    report = breaker.report()
    fleet.fail(1, 5)
    breaker.adopt(report, {"version": 7, "open": False, "due_in": 0, "leased": False, "successes": 0})
    assert breaker.state is OPEN


def test_trials_are_counted_from_the_beginning_when_alone(opened: Fleet) -> None:
    opened.clock.pass_(31)
    opened.exchange_all()
    (holder,) = opened.willing
    opened.succeed(holder)
    opened.exchange_all()
    breaker = opened.members[holder]
    breaker.leave()
    breaker.failed(breaker.admit(), ServiceUnavailableError("stock"))
    opened.clock.pass_(31)
    opened.succeed(holder)
    assert breaker.state is HALF_OPEN
