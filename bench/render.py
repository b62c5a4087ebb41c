"""How much longer rendering takes than copying the same files without Jinja."""

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import copier

from bench.figures import Figure
from tests.answers import Answer
from tests.rendering import copy_template

ROUNDS = 21


def figures() -> list[Figure]:
    """`render_vs_static`: wall time of `copier copy` with the default answers against that of the rendered files."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        template = _template(base / "template")
        static = _static(template, base / "static", base / "rendered")
        _render(template, base / "warm")
        _render(static, base / "warm-static")
        samples = []
        for number in range(ROUNDS):
            # Alternating, and the order too: what else the machine does hits both alike.
            pair = [template, static] if number % 2 else [static, template]
            seconds = {source: _render(source, base / f"{number}-{source.name}") for source in pair}
            samples.append(seconds[template] / seconds[static])
    return [Figure("render_vs_static", samples, bar=1.25)]


def _template(folder: Path) -> Path:
    copy_template(folder)
    return folder


def _static(template: Path, folder: Path, rendered: Path) -> Path:
    """A template of the same files, as they are after rendering, that asks nothing."""
    _render(template, rendered)
    shutil.copytree(rendered, folder / "template")
    (folder / "template" / ".copier-answers.yml").rename(folder / "template" / "answers.yml")
    (folder / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    return folder


def render_service(base: Path, answers: Mapping[str, Answer]) -> Path:
    """A service with `answers` in the place of defaults, below `base`."""
    _render(_template(base / "template"), base / "service", answers)
    return base / "service"


def _render(source: Path, destination: Path, answers: Mapping[str, Answer] | None = None) -> float:
    """Seconds that rendering took."""
    begin = time.perf_counter()
    copier.run_copy(str(source), destination, data=dict(answers or {}), defaults=True, quiet=True)
    return time.perf_counter() - begin
