"""Time that passes when a test says so."""


class Clock:
    """A clock to hand in wherever one is asked for: call it for the time, sleep on it, or let time pass."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Sleep without waiting; `slept` remembers how long."""
        self.slept.append(seconds)
        self.now += seconds
