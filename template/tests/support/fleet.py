"""Replicas in one process, with a clock that they and Redis share: each exchange happens when a test says so."""

import json
from functools import partial
from random import Random
from typing import Any

import redis

from tests.subject import SCRIPT, CircuitState, ServiceUnavailableError, SharedBreaker, key_of, message_of
from tests.support.clock import Clock

TRIAL_SECONDS = 2.0


def script() -> str:
    """The script, told the time instead of asking its server for it."""
    asked = "redis.call('TIME')"
    assert SCRIPT.count(asked) == 1
    return SCRIPT.replace(asked, "cjson.decode(ARGV[2])")


class Fleet:
    """`count` replicas of one breaker. Their clocks differ by hours, for that must not matter."""

    def __init__(self, server: redis.Redis, name: str, count: int, **policy: Any) -> None:
        self._script = server.register_script(script())
        self._server = server
        self._key = key_of(name, "stock")
        self.clock = Clock()
        self._random = Random(7)
        self.set_forward = 1.7e9  # The clock of the server, against the one here: as many digits as in earnest.
        self.members = [
            SharedBreaker("stock", clock=partial(self._skewed, 3600.0 * number), **policy) for number in range(count)
        ]

    def _skewed(self, seconds: float) -> float:
        return self.clock() + seconds

    def exchange(self, number: int, *, lost: bool = False) -> None:
        """One replica reports and adopts; the answer may get lost."""
        breaker = self.members[number]
        report = breaker.report()
        self.clock.pass_(self._random.uniform(0.001, 0.002))  # Odd and even microseconds: the coin.
        seconds, rest = divmod(self.clock() + self.set_forward, 1)
        now = json.dumps([int(seconds), round(rest * 1e6)])
        answer = self._script([self._key], [message_of(f"{id(self)}-{number}", report, TRIAL_SECONDS), now])
        if not lost:
            breaker.adopt(report, json.loads(answer))

    def exchange_all(self, times: int = 2) -> None:
        """Everybody, one after the other; after the second time everybody knows what the first has changed."""
        for _ in range(times):
            for number in range(len(self.members)):
                self.exchange(number)
            self.clock.pass_(0.04)

    def fail(self, number: int, times: int = 1) -> None:
        """Calls that fail."""
        breaker = self.members[number]
        for _ in range(times):
            self.clock.pass_(0.005)  # More than the time that a message takes: that much is not told apart.
            breaker.failed(breaker.admit(), ServiceUnavailableError("stock"))

    def succeed(self, number: int, times: int = 1) -> None:
        """Calls that succeed."""
        breaker = self.members[number]
        for _ in range(times):
            self.clock.pass_(0.005)  # More than the time that a message takes: that much is not told apart.
            breaker.succeeded(breaker.admit())

    def forget(self) -> None:
        """Redis has lost its memory."""
        self._server.delete(self._key)

    @property
    def remembered(self) -> int:
        """How many replicas Redis knows."""
        return int(self._server.hlen(self._key)) - 1

    @property
    def states(self) -> list[CircuitState]:
        """Of all replicas."""
        return [one.state for one in self.members]

    @property
    def willing(self) -> list[int]:
        """Who would let a call through."""
        return [number for number, one in enumerate(self.members) if not one.refuses_for()]
