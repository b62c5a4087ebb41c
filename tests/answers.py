"""The answer space, read from `copier.yml` itself, and the rows of it that the tests render.

A new question or choice takes part at once: nothing here repeats what the questions are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader

COPIER_YML = Path(__file__).parent.parent / "copier.yml"

Answer = str | bool
Row = dict[str, Answer]
Space = Mapping[str, Sequence[Answer]]
Pair = frozenset[tuple[str, Answer]]

NO_FEATURES = ("license", "python_version", "docker", "kubernetes", "ci")
"""Questions about metadata and delivery, which change no code. All others are features."""

TEXTS: Sequence[Row] = [
    {"project_name": "Billing", "project_description": 'Says "no" \\ and: why # not', "author_name": "Ann O'Neil"},
    {"project_name": "Größe & Maß – 大きさ 🚀", "author_name": "Zoë {Ops}", "author_email": "zoe+ops@bücher.example"},
    {"project_name": "W" * 80, "project_description": "d" * 200, "author_name": "a" * 80},
    {"project_slug": "x" * 50, "project_name": "漢" * 80, "project_description": "' single, `ticks`, <tags> & %s {0}"},
    {"project_slug": "short", "package_name": "p", "project_name": "#1: 'quoted' [list] {map}"},
    {"project_name": "true", "project_description": "null", "author_name": "1.0", "package_name": "y" * 50},
]
"""Answers to the free-text questions, taken in turn. None holds a word that tells of a feature: test_traces.py."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `choices` is empty where any text is an answer, and begins with the default elsewhere."""

    name: str
    choices: tuple[Answer, ...]
    spec: Mapping[str, Any]


def read_config(path: Path = COPIER_YML) -> dict[str, Any]:
    """All of `copier.yml`."""
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def reserved(name: str) -> list[str]:
    """A list of names in `names.jinja`."""
    environment = Environment(
        loader=FileSystemLoader(COPIER_YML.parent),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        autoescape=False,
    )
    return list(getattr(environment.get_template("names.jinja").module, name))


def questions(config: Mapping[str, Any]) -> list[Question]:
    """The questions that people are asked, in order."""
    asked = {name: spec for name, spec in config.items() if not name.startswith("_") and spec.get("when") is not False}
    return [Question(name, _choices(spec), spec) for name, spec in asked.items()]


def _choices(spec: Mapping[str, Any]) -> tuple[Answer, ...]:
    if spec["type"] == "bool":
        return (spec["default"], not spec["default"])
    choices = spec.get("choices", [])
    values = list(choices.values()) if isinstance(choices, dict) else choices
    return tuple(sorted(values, key=lambda value: value != spec["default"]))


def space(config: Mapping[str, Any]) -> dict[str, tuple[Answer, ...]]:
    """The questions with a finite number of answers."""
    return {question.name: question.choices for question in questions(config) if question.choices}


def features(whole: Space) -> dict[str, Sequence[Answer]]:
    """The part of the space that changes the code of a service."""
    return {name: choices for name, choices in whole.items() if name not in NO_FEATURES}


def product(part: Space) -> list[Row]:
    """Every combination, the defaults first."""
    return [dict(zip(part, answers, strict=True)) for answers in itertools.product(*part.values())]


def pairs(row: Row) -> set[Pair]:
    """The pairs of answers that occur together in `row`."""
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def all_pairs(whole: Space) -> list[Pair]:
    """Every pair of answers to two questions, in a fixed order."""
    answers = [[(name, choice) for choice in choices] for name, choices in whole.items()]
    return [frozenset(pair) for one, two in itertools.combinations(answers, 2) for pair in itertools.product(one, two)]


def uncovered(whole: Space, rows: Iterable[Row]) -> list[Pair]:
    """The pairs that no row holds."""
    covered = {pair for row in rows for pair in pairs(row)}
    return [pair for pair in all_pairs(whole) if pair not in covered]


def cover(whole: Space, beginnings: Iterable[Row] = ()) -> list[Row]:
    """Rows that hold every pair of answers: a greedy covering array, the same on every machine.

    Args:
        whole: the questions and their answers, defaults first.
        beginnings: incomplete rows that have to be among them; their other answers are chosen here.
    """
    rows = [{name: choices[0] for name, choices in whole.items()}]
    missing = dict.fromkeys(uncovered(whole, rows))
    waiting = list(beginnings)
    while waiting or missing:
        beginning = waiting.pop(0) if waiting else dict(sorted(next(iter(missing))))
        row = _complete(whole, beginning, missing, turn=len(rows))
        rows.append(row)
        for pair in pairs(row):
            missing.pop(pair, None)
    return rows


def _complete(whole: Space, beginning: Row, missing: Mapping[Pair, None], turn: int) -> Row:
    row = dict(beginning)
    for name in sorted(whole.keys() - row.keys(), key=lambda name: (-len(whole[name]), name)):
        start = turn % len(whole[name])  # Ties go round, or late rows would all be alike.
        candidates = [*whole[name][start:], *whole[name][:start]]
        row[name] = max(candidates, key=lambda answer: _gain(row, (name, answer), missing))
    return {name: row[name] for name in whole}


def _gain(row: Row, answer: tuple[str, Answer], missing: Mapping[Pair, None]) -> int:
    return sum(frozenset([answer, other]) in missing for other in row.items())


def with_texts(rows: Sequence[Row]) -> list[Row]:
    """The rows with answers to the free-text questions; the first one keeps all defaults."""
    return [rows[0], *(row | TEXTS[index % len(TEXTS)] for index, row in enumerate(rows[1:]))]


def label(row: Row, whole: Space) -> str:
    """A short name of a row: what differs from the defaults."""
    words = [
        str(answer) if isinstance(answer, str) else ("" if answer else "no-") + name
        for name, answer in row.items()
        if name in whole and answer != whole[name][0]
    ]
    return " ".join(words) or "defaults"


SPACE = space(read_config())
INSPECTED = with_texts(cover(SPACE, beginnings=product(features(SPACE))))
"""Every combination of the features, in rows that also hold every pair of all answers."""
