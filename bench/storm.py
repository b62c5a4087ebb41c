"""Whether retries keep a failing upstream down, and whether they are worth having: simulated in virtual time.

The rendered service's own pipeline, with the example's declared policy, calls a model of a server at 80 % of its
capacity. Then the server is ten times slower for five seconds. What was given up by its caller is worked on all the
same, so that a queue which is longer than the callers' patience yields nothing but wasted work: where retries keep it
that long, they keep the server down for ever. Peers show that the model can do that.
"""

import asyncio
import random
import statistics
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import tenacity

from bench.figures import Figure
from bench.service import Modules, example_policy, rendered
from bench.virtual import VirtualLoop

SEEDS = range(5)
WORKERS, SERVICE_SECONDS, OFFERED = 10, 0.1, 80.0
"""A capacity of 100 requests a second, and a load of 80."""

CALM, BROWN_OUT, GRACE, WATCHED = 20.0, 5.0, 5.0, 30.0
"""Seconds of normal work, of the brown-out, after it without a claim, and of the claim."""

SLOWER = 10
RARE, RESCUED = 0.01, 120.0
"""Share of attempts that fail without a reason in the run that counts rescues, and its seconds."""

Attempt = Callable[[], Awaitable[None]]
Client = Callable[[Attempt], Awaitable[None]]
"""Makes one request through whatever protects it."""

Seen = list[tuple[float, str]]
"""What the engine told, and when."""

Maker = Callable[[VirtualLoop, Seen], Client]


def figures() -> list[Figure]:
    """`storm_goodput`, `storm_attempts_per_request` and `retry_rescue`, a sample for each seed."""
    with rendered() as module:
        ours: Maker = partial(_ours, module)
        storms: dict[str, Maker] = {"ours": ours, "3 attempts": backing_off, "no retry": once}
        outcomes = {name: [storm(maker, seed) for seed in SEEDS] for name, maker in storms.items()}
        rescues = {name: [rescue(maker, seed) for seed in SEEDS] for name, maker in storms.items()}
    for name, runs in outcomes.items():
        for seed, run in zip(SEEDS, runs, strict=True):
            print(f"storm    {name:12} seed {seed}: {run}")
    for name, shares in rescues.items():
        print(f"rescue   {name:12} {' '.join(f'{share:.3f}' for share in shares)}")
    return [
        Figure("storm_goodput", [run.goodput for run in outcomes["ours"]], bar=1.0, at_most=False),
        Figure("storm_attempts_per_request", [run.attempts for run in outcomes["ours"]], bar=1.1),
        Figure("retry_rescue", rescues["ours"], bar=0.99, at_most=False),
    ]


class Server:
    """Requests wait in a line for one of the workers; whoever gives up stays in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with an empty line."""
        self.service_seconds = SERVICE_SECONDS
        self._loop = loop
        self._idle = WORKERS
        self._line: deque[asyncio.Future[None]] = deque()

    async def handle(self) -> None:
        """One request."""
        answer = self._loop.create_future()
        self._line.append(answer)
        self._work()
        await answer

    def _work(self) -> None:
        while self._idle and self._line:
            self._idle -= 1
            self._loop.call_later(self.service_seconds, self._done, self._line.popleft())

    def _done(self, answer: asyncio.Future[None]) -> None:
        self._idle += 1
        if not answer.done():
            answer.set_result(None)
        self._work()


@dataclass
class Storm:
    """What came of one run.

    Args:
        goodput: share of the requests that succeeded, of those made from `GRACE` after the brown-out on.
        attempts: for each request that was made in the brown-out.
        seen: what the engine told, at seconds from the beginning of the brown-out.
    """

    goodput: float
    attempts: float
    seen: Seen

    def __str__(self) -> str:
        """One line."""
        counts = Counter(what for _, what in self.seen if not what.startswith("breaker"))
        told = [f"{count} {what}" for what, count in sorted(counts.items())]
        told += [f"{what} at {at:.1f} s" for at, what in self.seen if what.startswith("breaker")]
        return ", ".join([f"goodput {self.goodput:.3f}", f"{self.attempts:.3f} attempts a request", *told])


def storm(make: Maker, seed: int, watched: float = WATCHED) -> Storm:
    """A brown-out, simulated from `seed`, for a client that `make` makes; `watched` are the seconds of the claim."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_storm(make, watched))


async def _storm(make: Maker, watched: float) -> Storm:
    loop = _loop()
    server = Server(loop)
    seen: Seen = []
    client = make(loop, seen)
    begin, end = loop.time() + CALM, loop.time() + CALM + BROWN_OUT
    loop.call_at(begin, setattr, server, "service_seconds", SERVICE_SECONDS * SLOWER)
    loop.call_at(end, setattr, server, "service_seconds", SERVICE_SECONDS)
    requests = await _offer(client, server.handle, until=end + GRACE + watched)
    inside = [one for one in requests if begin <= one.at < end]
    after = [one for one in requests if one.at >= end + GRACE]
    return Storm(
        goodput=statistics.fmean(one.good for one in after),
        attempts=statistics.fmean(one.attempts for one in inside),
        seen=[(at - begin, what) for at, what in seen],
    )


def rescue(make: Maker, seed: int) -> float:
    """The share of requests that succeed in the end, of those whose first attempt met a rare failure."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_rescue(make))


async def _rescue(make: Maker) -> float:
    loop = _loop()
    server = Server(loop)

    async def attempt() -> None:
        if random.random() < RARE:
            raise ConnectionError("one in a hundred")
        await server.handle()

    requests = await _offer(make(loop, []), attempt, until=RESCUED)
    return statistics.fmean(one.good for one in requests if one.failed)


@dataclass
class Request:
    """One request of a client: when, how many attempts it took, whether one failed at once, whether it succeeded."""

    at: float
    attempts: int = 0
    failed: bool = False
    good: bool = False


async def _offer(client: Client, attempt: Attempt, until: float) -> list[Request]:
    """Requests at random moments, whatever became of those before; at the return all are over."""
    loop = _loop()
    requests: list[Request] = []

    async def one(request: Request) -> None:
        async def counted() -> None:
            request.attempts += 1
            try:
                await attempt()
            except ConnectionError:
                request.failed = True
                raise

        try:
            await client(counted)
        except Exception:  # Whatever they raise, it is no success.
            return
        request.good = True

    async with asyncio.TaskGroup() as group:
        while loop.time() < until:
            request = Request(loop.time())
            requests.append(request)
            group.create_task(one(request))
            await asyncio.sleep(random.expovariate(OFFERED))
    return requests


def _ours(module: Modules, loop: VirtualLoop, seen: Seen) -> Client:
    """The pipeline, its events written down."""
    events = module("resilience.events")
    names = {
        events.RetryScheduled: "retries",
        events.RetryBudgetExhausted: "retries refused",
        events.BreakerChanged: "breaker",
    }

    def write(event: Any) -> None:
        what = names[type(event)]
        seen.append((loop.time(), f"{what} {event.new}" if what == "breaker" else what))

    pipeline = module("resilience.pipeline").Pipeline(
        "inventory",
        example_policy(module),
        classifier=module("errors.classification").ErrorClassifier(),
        events=events.Events(dict.fromkeys(names, write)),
        clock=loop.time,
    )
    return lambda attempt: pipeline.call(attempt, idempotent=True)


def backing_off(loop: VirtualLoop, seen: Seen) -> Client:
    """Three attempts, exponential backoff, full jitter, the same timeout, and nothing else."""
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random_exponential(multiplier=0.1), reraise=True
    )(once(loop, seen))


def once(_: VirtualLoop, __: Seen) -> Client:
    """One attempt, with the timeout of the others."""

    async def call(attempt: Attempt) -> None:
        await asyncio.wait_for(attempt(), 0.8)

    return call


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
