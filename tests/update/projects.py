"""A template with releases, and projects made from it, each in a repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from copier import VcsRef, run_copy, run_update

from ..answers import Answer

IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
}


def git(directory: Path, *arguments: str) -> str:
    """Run git as somebody, whoever the machine thinks we are."""
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    run = subprocess.run(command, cwd=directory, env=os.environ | IDENTITY, check=True, capture_output=True)
    return run.stdout.decode()


def commit(directory: Path, message: str) -> None:
    """Commit everything."""
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", message)


def release(template: Path, source: Path, tag: str, change: Callable[[Path], object] = lambda _: None) -> None:
    """Release what is in `source`, or in `template` already, with a change."""
    if not (template / ".git").exists():
        shutil.copytree(source, template)
        git(template, "init", "--quiet")
    change(template)
    commit(template, tag)
    git(template, "tag", tag)


def start(template: Path, project: Path, answers: Mapping[str, Answer], ref: str | None = None) -> None:
    """Render a project and commit it."""
    run_copy(str(template), project, data=dict(answers), defaults=True, quiet=True, vcs_ref=ref)
    git(project, "init", "--quiet")
    commit(project, "Start")


def update(project: Path, answers: Mapping[str, Answer], ref: str | VcsRef | None = VcsRef.CURRENT) -> None:
    """What `copier update --defaults` does, with new answers; to the newest release with `ref=None`."""
    run_update(str(project), data=dict(answers), defaults=True, overwrite=True, quiet=True, vcs_ref=ref)


def content(project: Path) -> dict[str, bytes]:
    """Every file that git would commit, new ones included."""
    names = git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {name: (project / name).read_bytes() for name in sorted(set(names)) if name and (project / name).exists()}


def differences(one: Path, other: Path) -> list[str]:
    """The files whose content differs, or that one project alone has."""
    first, second = content(one), content(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
