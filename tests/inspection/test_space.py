"""The rows hold every pair of answers, and would no longer do so if the questions grew."""

import copy

from ..answers import (
    INSPECTED,
    SPACE,
    all_pairs,
    cover,
    features,
    pairs,
    product,
    questions,
    read_config,
    space,
    uncovered,
)


def test_every_pair_of_answers_is_inspected() -> None:
    assert uncovered(SPACE, INSPECTED) == []


def test_every_combination_of_features_is_inspected() -> None:
    part = features(SPACE)
    inspected = [{name: row[name] for name in part} for row in INSPECTED]
    assert all(row in inspected for row in product(part))


def test_the_defaults_come_first() -> None:
    assert INSPECTED[0] == {name: choices[0] for name, choices in SPACE.items()}


def test_every_question_that_is_asked_takes_part() -> None:
    config = read_config()
    free = {question.name for question in questions(config) if not question.choices}
    assert {"project_name", "project_slug", "package_name", "project_description"} <= free
    assert free | SPACE.keys() == {name for name, spec in config.items() if not name.startswith("_") and "help" in spec}


def test_the_array_is_much_smaller_than_the_product() -> None:
    assert len(cover(SPACE)) <= len(product({name: SPACE[name] for name in ("license", "python_version")})) * 1.3


def test_the_array_is_the_same_every_time() -> None:
    assert cover(SPACE) == cover(SPACE)


def test_a_new_choice_is_noticed() -> None:
    config = copy.deepcopy(read_config())
    config["license"]["choices"].append("MPL-2.0")
    missing = uncovered(space(config), INSPECTED)
    assert missing
    assert all(("license", "MPL-2.0") in pair for pair in missing)
    assert uncovered(space(config), cover(space(config))) == []


def test_a_new_question_is_noticed() -> None:
    config = copy.deepcopy(read_config()) | {"tracing": {"type": "bool", "default": False, "help": "?"}}
    assert len(uncovered(space(config), INSPECTED)) == 2 * sum(map(len, SPACE.values()))
    assert "tracing" in features(space(config))


def test_a_missing_pair_is_found() -> None:
    for index in (0, 7, 40):
        pair = all_pairs(SPACE)[index]
        rows = [row for row in INSPECTED if pair not in pairs(row)]
        assert pair in uncovered(SPACE, rows)
