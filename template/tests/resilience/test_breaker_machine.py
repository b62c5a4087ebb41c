"""Whatever happens in whichever order, the breaker does what a small model of it says."""

from asyncio import CancelledError

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.subject import CircuitBreaker, CircuitBreakerOpenError, CircuitState, Verdict
from tests.support.clock import Clock

FAILURES, SUCCESSES, RECOVERY = 3, 2, 30.0
CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, end and are cancelled while time passes; `state`, `count` and the others are the model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker(
            "stock",
            failure_threshold=FAILURES,
            recovery_timeout=RECOVERY,
            success_threshold=SUCCESSES,
            judge=lambda error: Verdict.NEITHER if isinstance(error, KeyError) else Verdict.FAILURE,
            clock=self.clock,
        )
        self.under_way: list[tuple[int, int]] = []  # What the breaker gave out, and the model's number of the state.
        self.epochs: list[int] = []
        self.state, self.number, self.count, self.since = CLOSED, 0, 0, self.clock.now
        self.probe: tuple[int, int] | None = None

    def become(self, state: CircuitState) -> None:
        self.state, self.number, self.count, self.since = state, self.number + 1, 0, self.clock.now
        self.probe = None

    @rule(seconds=st.sampled_from([0.5, 10.0, RECOVERY]))
    def pass_(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule()
    def begin(self) -> None:
        if self.state is OPEN and self.clock.now - self.since >= RECOVERY:
            self.become(HALF_OPEN)
        admitted = self.state is CLOSED or (self.state is HALF_OPEN and self.probe is None)
        try:
            epoch = self.breaker.admit()
        except CircuitBreakerOpenError:
            assert not admitted
            return
        assert admitted
        self.epochs.append(epoch)
        self.under_way.append((epoch, self.number))
        if self.state is HALF_OPEN:
            self.probe = self.under_way[-1]

    @rule(data=st.data(), outcome=st.sampled_from(["success", "failure", "ignored", "cancelled"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        if not self.under_way:
            return
        call = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        epoch, number = call
        if outcome == "success":
            self.breaker.succeeded(epoch)
        elif outcome == "cancelled":
            self.breaker.failed(epoch, CancelledError())
        else:
            self.breaker.failed(epoch, OSError() if outcome == "failure" else KeyError())
        if number != self.number:
            return
        self.probe = None
        if outcome == "success":
            self.count = self.count + 1 if self.state is HALF_OPEN else 0
            if self.state is HALF_OPEN and self.count == SUCCESSES:
                self.become(CLOSED)
        elif outcome == "failure":
            self.count += 1
            if self.state is HALF_OPEN or self.count == FAILURES:
                self.become(OPEN)

    @rule(open_=st.booleans())
    def force(self, open_: bool) -> None:
        if open_:
            self.breaker.open()
            self.become(OPEN)
        else:
            self.breaker.close()
            self.become(CLOSED)

    @invariant()
    def the_state_is_the_models(self) -> None:
        assert self.breaker.state is self.state

    @invariant()
    def epochs_never_go_back(self) -> None:
        assert self.epochs == sorted(self.epochs)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(
    max_examples=300,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # A busy machine is no fault of the breaker.
)
