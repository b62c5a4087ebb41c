"""Where the process is between its start and its end."""

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """Set by the start and the stop, read by the probes.

    Attributes:
        started: the database has answered and its tables are there.
        draining: the process was told to stop and finishes what it has begun.
    """

    started: bool = False
    draining: bool = False
