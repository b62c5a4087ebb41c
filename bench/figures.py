"""A measured figure, and the report of all."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A ratio, or a quantity with a unit, held against its bar.

    Args:
        name: as in the report.
        samples: the single measurements; their median is the value.
        bar: the value that must be reached.
        at_most: whether the value must stay at or below the bar, or at or above it.
        unit: of the value; "ratio" for a quotient.
    """

    name: str
    samples: list[float]
    bar: float
    at_most: bool = True
    unit: str = "ratio"

    @property
    def value(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def write(figures: Iterable[Figure], path: Path) -> None:
    """Write the figures, nothing rounded."""
    report: dict[str, Any] = {
        figure.name: {
            "value": figure.value,
            "unit": figure.unit,
            "bar": figure.bar,
            "holds": figure.holds,
            "samples": figure.samples,
        }
        for figure in figures
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"figures": report}, indent=2) + "\n", encoding="utf-8")


def table(figures: Iterable[Figure]) -> str:
    """The figures, a line each."""
    return "\n".join(
        f"{figure.name:36} {figure.value:9.3f} {figure.unit:6} "
        f"{'≤' if figure.at_most else '≥'} {figure.bar:<6g} {'holds' if figure.holds else 'MISSED'}"
        for figure in figures
    )
