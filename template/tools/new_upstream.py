"""`make new-upstream NAME=payments`: a client, its line in the registry, its settings and its test.

Usage: python tools/new_upstream.py PACKAGE NAME
"""

import keyword
import re
import subprocess
import sys
from pathlib import Path

CLIENT = '''"""The {words}: say here what it is for."""

from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel

from ..resilience.policy import Policy
from .connection import UpstreamConnection
from .declaration import Upstream

{constant} = Upstream(
    name="{name}",
    base_url="http://127.0.0.1:9001",
    policy=Policy(
        total_timeout=2.0,
        attempt_timeout=0.8,
        retry_delay=0.1,
        failure_ratio=0.5,
        minimum_calls=10,
        window=5.0,
        recovery_timeout=5.0,
    ),
)


class {class_}Status(BaseModel):
    """What the {words} tells of itself; replace it by what you ask for."""

    status: str


class {class_}Client:
    """The API of the {words} in our terms."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    async def status(self) -> {class_}Status:
        """Whether it is well.

        Raises:
            ServiceUnavailableError, OperationTimeoutError: it cannot tell.
        """
        return await self._connection.get("/healthz", {class_}Status)


def {name}_client(request: Request) -> {class_}Client:
    """The client for this request, on the connection all requests share."""
    return {class_}Client(request.state.upstreams[{constant}.name])


{class_} = Annotated[{class_}Client, Depends({name}_client)]
'''

TEST = '''"""The client of the {words} speaks its language."""

import pytest

from {package}.errors.hierarchy import ServiceUnavailableError
from {package}.upstreams.connection import UpstreamConnection
from {package}.upstreams.registry import UPSTREAMS
from {package}.upstreams.{name} import {constant}, {class_}Client, {class_}Status

from tools.unreliable_upstream import UnreliableUpstream


def test_it_is_registered() -> None:
    assert {constant} in UPSTREAMS


async def test_a_good_answer(connection: UpstreamConnection) -> None:
    assert await {class_}Client(connection).status() == {class_}Status(status="ok")


async def test_an_upstream_that_is_gone(upstream: UnreliableUpstream, connection: UpstreamConnection) -> None:
    await upstream.stop_listening()
    with pytest.raises(ServiceUnavailableError):
        await {class_}Client(connection).status()
'''


TAKEN = {"annotated", "base_model", "depends", "policy", "request", "upstream", "upstream_connection", "upstreams"}


def problem_with(name: str, upstreams: Path) -> str | None:
    """What is wrong with `name`, in one sentence."""
    if not name:
        return "Name the upstream: make new-upstream NAME=payments"
    if len(name) > 40 or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        return "NAME must be a short word in snake_case, such as payments or card_payments."
    if (upstreams / f"{name}.py").exists() or name in TAKEN:
        return f"NAME={name} is taken by a module or by something that every client imports."
    return None


def registered(registry: str, name: str, constant: str) -> str:
    """The text of the registry with one more upstream."""
    imports = [line for line in registry.splitlines() if line.startswith("from .")]
    added = sorted([*imports, f"from .{name} import {constant}"])
    registry = registry.replace("\n".join(imports), "\n".join(added), 1)
    if registry.rstrip().endswith("= []"):
        return registry.rstrip().removesuffix("[]") + f"[\n    {constant},\n]\n"
    head, bracket, tail = registry.rpartition("]\n")
    return f"{head}    {constant},\n{bracket}{tail}"


def main(package: str, name: str) -> int:
    """Write the files; the exit status."""
    upstreams = Path("src") / package / "upstreams"
    problem = problem_with(name, upstreams)
    if problem is not None:
        print(problem, file=sys.stderr)
        return 2
    words = name.replace("_", " ")
    names = {
        "name": name,
        "words": words,
        "constant": name.upper(),
        "class_": words.title().replace(" ", ""),
        "package": package,
    }
    registry = upstreams / "registry.py"
    written = {
        upstreams / f"{name}.py": CLIENT.format(**names),
        Path("tests/upstreams") / f"test_{name}.py": TEST.format(**names),
        registry: registered(registry.read_text(encoding="utf-8"), name, name.upper()),
    }
    example = Path(".env.example")
    line = f"{name.upper()}_BASE_URL=http://127.0.0.1:9001\n"
    written[example] = (example.read_text(encoding="utf-8") if example.exists() else "") + line
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    # How long the names are decides how lines are broken and in which order imports stand.
    modules = [str(path) for path in written if path.suffix == ".py"]
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--quiet", *modules], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
