"""Counters and histograms for the paths that every request and every call takes.

The client library's own guard each number with a lock and search the buckets one by one. Here the event loop alone counts,
so a list and a bisection do, at a quarter of the cost; Prometheus' format is left to the library.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Durations:
    """Observations of one set of labels.

    Attributes:
        counts: how many fell into each bucket, the last one without an upper bound.
        total: their sum in seconds.
    """

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Add one observation."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class HistogramTally(Collector):
    """A histogram of seconds.

    Args:
        name, documentation, labels: as in the exposition.
        bounds: upper bounds of the buckets, ascending.
        registry: exposes it.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._family = (name, documentation, labels)
        self._bounds = bounds
        self._names = [*map(floatToGoString, bounds), "+Inf"]
        self._children: dict[tuple[object, ...], Durations] = {}
        registry.register(self)

    def of(self, *labels: object) -> Durations:
        """The observations of one set of label values."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = Durations(self._bounds)
        return child

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Called by the library for an exposition, in a thread of its own."""
        name, documentation, labels = self._family
        family = HistogramMetricFamily(name, documentation, labels=labels)
        for values, child in list(self._children.items()):
            buckets = list(zip(self._names, accumulate(child.counts), strict=True))
            family.add_metric([str(value) for value in values], buckets=buckets, sum_value=child.total)
        yield family


class CounterTally(Collector):
    """A counter.

    Args:
        name, documentation, labels: as in the exposition.
        registry: exposes it.

    Attributes:
        counts: by label values; whoever counts adds to them.
        readers: by label values; read what is counted elsewhere.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._family = (name, documentation, labels)
        self.counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.readers: dict[tuple[str, ...], Callable[[], int]] = {}
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Called by the library for an exposition, in a thread of its own."""
        name, documentation, labels = self._family
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in list(self.counts.items()):
            family.add_metric(values, count)
        for values, read in list(self.readers.items()):
            family.add_metric(values, read())
        yield family
