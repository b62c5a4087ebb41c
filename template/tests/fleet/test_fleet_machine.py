"""Whatever happens in whichever order, whatever gets lost: the fleet opens when it must, and never for ever."""

import secrets
from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.subject import CircuitState, ServiceUnavailableError
from tests.support.fleet import TRIAL_SECONDS, Fleet

MEMBERS, THRESHOLD, RECOVERY = 3, 4, 30.0
CLOSED = CircuitState.CLOSED

member = st.integers(0, MEMBERS - 1)


class FleetMachine(RuleBasedStateMachine):
    """Calls begin and end at any replica, while messages are exchanged or lost and Redis forgets.

    The model knows how many failures each replica has had since the last success anywhere, how many in a row by itself,
    and how many in a row it has told Redis of.
    """

    server: redis.Redis

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(
            self.server,
            f"test-{secrets.token_hex(8)}",
            MEMBERS,
            failure_threshold=THRESHOLD,
            recovery_timeout=RECOVERY,
            success_threshold=2,
        )
        self.fleet.exchange_all()
        self.failures: Counter[int] = Counter()
        self.in_a_row: Counter[int] = Counter()
        self.told: Counter[int] = Counter()
        self.fleet_may_open = False
        self.ill: set[int] = set()
        self.trials: dict[int, int] = {}
        self.forgot_at = 0.0

    def exceeded(self) -> bool:
        return len(self.failures) >= 2 and self.failures.total() >= THRESHOLD

    def note(self, number: int, well: bool) -> None:
        if well:
            self.failures.clear()
            self.in_a_row[number] = 0
            return
        if self.fleet.members[number].state is CLOSED:  # A trial that fails prolongs what is known.
            self.failures[number] += 1
        self.in_a_row[number] += 1
        # At the latest then: a success may not have been reported yet.
        failing = [count for count in (self.in_a_row | self.told).values() if count]
        self.fleet_may_open |= len(failing) >= 2 and sum(failing) >= THRESHOLD
        if self.in_a_row[number] >= THRESHOLD:
            self.ill.add(number)

    @rule(number=member, well=st.booleans(), times=st.integers(1, THRESHOLD))
    def call(self, number: int, well: bool, times: int) -> None:
        for _ in range(times):
            if self.fleet.members[number].refuses_for():
                return
            self.note(number, well)
            (self.fleet.succeed if well else self.fleet.fail)(number)

    @rule(number=member)
    def begin_trial(self, number: int) -> None:
        breaker = self.fleet.members[number]
        if breaker.state is not CLOSED and not breaker.refuses_for() and breaker.shared:
            self.trials[number] = breaker.admit()

    @rule(well=st.booleans())
    def end_trials(self, well: bool) -> None:
        for number, epoch in self.trials.items():
            breaker = self.fleet.members[number]
            self.fleet.clock.pass_(0.005)
            if epoch == breaker.epoch:
                self.note(number, well)
            if well:
                breaker.succeeded(epoch)
            else:
                breaker.failed(epoch, ServiceUnavailableError("stock"))
        self.trials.clear()

    @rule(number=member, lost=st.booleans())
    def exchange(self, number: int, lost: bool) -> None:
        self.fleet.exchange(number, lost=lost)
        self.told[number] = self.in_a_row[number]

    @rule()
    def exchange_all(self) -> None:
        self.fleet.exchange_all(1)
        self.told = self.in_a_row.copy()

    @rule(number=member)
    def leave(self, number: int) -> None:
        if number not in self.trials:
            self.fleet.members[number].leave()

    @rule()
    def forget(self) -> None:
        self.fleet.forget()
        self.forgot_at = self.fleet.clock()

    @rule(seconds=st.sampled_from([0.1, 1.0, RECOVERY / 2, RECOVERY + 1]))
    def pass_(self, seconds: float) -> None:
        if seconds > 0.1:
            self.end_trials(False)  # None takes so long.
        self.fleet.clock.pass_(seconds)

    @rule()
    def come_together(self) -> None:
        self.fleet.exchange_all(3)
        self.told = self.in_a_row.copy()
        if self.exceeded():
            assert CLOSED not in self.fleet.states

    @invariant()
    def one_at_most_tries(self) -> None:
        if self.fleet.clock() - self.forgot_at < TRIAL_SECONDS + 1:
            return
        tried = {number for number in self.fleet.willing if self._is_led(number)} | {
            number for number, epoch in self.trials.items() if epoch == self.fleet.members[number].epoch
        }
        assert len(tried) <= 1

    def _is_led(self, number: int) -> bool:
        breaker = self.fleet.members[number]
        return breaker.shared and breaker.state is not CLOSED and number not in self.ill

    @invariant()
    def nothing_opens_without_a_reason(self) -> None:
        for number, state in enumerate(self.fleet.states):
            assert state is CLOSED or self.fleet_may_open or number in self.ill

    def teardown(self) -> None:
        self.end_trials(True)
        for _ in range(3):
            self.fleet.clock.pass_(RECOVERY + 1)
            for _ in range(8):
                for number in self.fleet.willing:
                    self.fleet.succeed(number)
                self.fleet.exchange_all(1)
        assert set(self.fleet.states) == {CLOSED}


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as server:
        yield server


def test_any_order_of_events(server: redis.Redis) -> None:
    FleetMachine.server = server
    run_state_machine_as_test(
        FleetMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
