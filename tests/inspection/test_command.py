"""What people type: the command line, as a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..rendering import Trees
from .files import files


def copier(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run Copier without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "copier", *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_the_defaults_need_no_trust_and_the_message_names_the_next_commands(
    source: Path, trees: Trees, tmp_path: Path
) -> None:
    run = copier("copy", "--defaults", str(source), "my-service", directory=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "trust" not in run.stderr
    assert "cd my-service && make run" in run.stderr
    assert "make test" in run.stderr

    rendered, expected = tmp_path / "my-service", trees.tree({})
    assert files(rendered) == files(expected)
    assert all((rendered / path).read_bytes() == (expected / path).read_bytes() for path in files(expected))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("package_name=class", "keyword of Python"),
        ("project_slug=../x", "Type a slug"),
        ("project_name=", "cannot be empty"),
        ("database=oracle", "Invalid choice"),
    ],
)
def test_a_bad_answer_ends_in_one_sentence_and_leaves_nothing(
    source: Path, tmp_path: Path, answer: str, sentence: str
) -> None:
    """Asked for it, Copier prints the sentence and asks again; given it, Copier 9 prints a traceback before it."""
    run = copier("copy", "--defaults", "-d", answer, str(source), "my-service", directory=tmp_path)
    assert run.returncode != 0
    assert sentence in run.stderr.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
