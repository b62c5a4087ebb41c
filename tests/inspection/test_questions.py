"""`copier.yml` keeps its promises: help everywhere, no trust, no secrets, names that cannot clash."""

from __future__ import annotations

import keyword
import re
import sys
from typing import Any

import pytest
import yaml

from ..answers import Question, questions, read_config, reserved
from ..rendering import Trees

CONFIG = read_config()
QUESTIONS = questions(CONFIG)

every_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)


@every_question
def test_every_question_has_a_help_text_that_is_one_or_two_sentences(question: Question) -> None:
    assert re.fullmatch(r"[A-Z].{15,160}[.?]", question.spec["help"].strip())


@every_question
def test_every_question_has_a_type_and_a_default(question: Question) -> None:
    assert question.spec["type"] in {"str", "bool"}
    assert "default" in question.spec
    assert not question.choices or question.spec["default"] in question.choices


@every_question
def test_free_text_is_validated(question: Question) -> None:
    assert question.choices or "validator" in question.spec


@every_question
def test_no_secret_is_asked(question: Question) -> None:
    assert not question.spec.get("secret")
    assert not re.search("password|secret|token|credential", question.name)


@pytest.mark.parametrize(
    "setting", ["_tasks", "_migrations", "_jinja_extensions", "_secret_questions", "_external_data"]
)
def test_nothing_needs_trust(setting: str) -> None:
    assert setting not in CONFIG


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    assert CONFIG["_envops"]["undefined"] == "jinja2.StrictUndefined"


def test_nothing_is_computed_in_a_hidden_question() -> None:
    """It would be an answer too, and every file name rendered once more; names.jinja is the place."""
    assert all(spec.get("when") is not False for name, spec in CONFIG.items() if not name.startswith("_"))


def test_no_package_can_be_named_like_a_keyword_or_a_module_of_this_python() -> None:
    names = {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names}
    valid = {name for name in names if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)}
    assert valid - set(reserved("reserved_modules")) == set()


@pytest.mark.parametrize("name", ["reserved_modules", "reserved_distributions"])
def test_reserved_names_are_sorted_and_unique(name: str) -> None:
    names = reserved(name)
    assert names == sorted(set(names))


def test_the_answers_file_holds_what_was_asked_and_nothing_else(trees: Trees) -> None:
    stored: dict[str, Any] = yaml.safe_load((trees.tree({}) / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert [name for name in stored if not name.startswith("_")] == sorted(question.name for question in QUESTIONS)
