"""The package of a rendered service, to be measured in this process."""

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.render import render_service
from tests.answers import Answer

PACKAGE = "orders_service"

Modules = Callable[[str], Any]
"""Gives a module of the package by its name below it."""


@contextmanager
def rendered(**answers: Answer) -> Iterator[Modules]:
    """The modules of a fresh rendering with `answers`; they are forgotten at the end: the next is read anew."""
    with tempfile.TemporaryDirectory() as folder:
        source = str(render_service(Path(folder), answers) / "src")
        sys.path.insert(0, source)
        try:
            yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
        finally:
            sys.path.remove(source)
            for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
                del sys.modules[name]


def example_policy(module: Modules) -> Any:
    """The policy of the example's upstream as settings complete it where the environment says nothing."""
    general = module("resilience.policy").Policy(max_retries=3, retry_backoff_multiplier=2.0)
    return module("upstreams.inventory").INVENTORY.policy.over(general.over(module("resilience.policy").DEFAULTS))
