"""Which services are installed and run: few, because each takes the better part of a minute."""

from __future__ import annotations

from ..answers import SPACE, Row, Space, cover, features, product, with_texts
from .interpreters import interpreters


def _whole(row: Row, turn: int) -> Row:
    """The row with an answer to every question; what it leaves open goes round."""
    others = {name: choices[turn % len(choices)] for name, choices in SPACE.items() if name != "python_version"}
    return others | row


def _rows(part: Space, beginnings: list[Row]) -> list[Row]:
    return with_texts([_whole(row, turn) for turn, row in enumerate(cover(part, beginnings))])


SPACE_BUT_LICENCE = {name: choices for name, choices in SPACE.items() if name != "license"}

PART: Space = SPACE_BUT_LICENCE | {"python_version": tuple(interpreters())}
"""The answers that are run here. A Python that is not here and a licence, which runs nothing, are inspected only."""

PAIRS = _rows(PART, [])
"""Every pair of these, the defaults first."""

COMBINATIONS = [row for row in _rows(PART, product(features(SPACE))) if row not in PAIRS]
"""Every combination of features."""
