"""A wrong declaration is refused with a sentence that names what is wrong."""

from typing import Any

import pytest

from tests.subject import FEATURES, UPSTREAMS, Policy, Upstream


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": "Stock-1"}, "name"),
        ({"name": ""}, "name"),
        ({"base_url": "stock"}, "base_url"),
        ({"base_url": "ftp://stock"}, "base_url"),
        ({"polcy": Policy()}, "polcy"),
    ],
)
def test_wrong_declarations(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Upstream(**({"name": "stock", "base_url": "http://stock"} | wrong))


def test_names_are_unique() -> None:
    """Each one names a circuit breaker."""
    names = [upstream.name for upstream in UPSTREAMS] + [feature.name for feature in FEATURES]
    assert len(names) == len(set(names))
