"""Run the checklist and print a table; the exit status is 0 only if nothing is broken."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from tools.checklist.page import PAGE, Item, failed_tests, missing, read_page
from tools.checklist.registry import CHECKS, BrokenError, NotRunError, find_checks

PASS, FAIL, NOT_RUN = "pass", "FAIL", "not run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the page says; the exit status."""
    parser = argparse.ArgumentParser(prog="make checklist", description=f"Show what {PAGE} says.")
    parser.add_argument("items", nargs="*", metavar="ITEM", help="of the page; all by default")
    parser.add_argument("--tests", action="store_true", help="run the tests that the page names too")
    chosen = parser.parse_args(arguments)
    for problem in find_checks():
        print(problem, file=sys.stderr)
    items = read_page()
    # Or a row could be taken off in silence.
    items += [Item(name, [], [], []) for name in sorted(CHECKS.keys() - {item.name for item in items})]
    if unknown := set(chosen.items) - {item.name for item in items}:
        parser.error(f"there is no item {min(unknown)!r} in {PAGE}")
    return asyncio.run(_run([item for item in items if item.name in (chosen.items or [item.name])], chosen.tests))


async def _run(items: list[Item], with_tests: bool) -> int:
    failed = failed_tests(test for item in items for test in item.tests) if with_tests else set()
    width = max(len(item.name) for item in items)
    counts = dict.fromkeys((PASS, FAIL, NOT_RUN), 0)
    async with AsyncExitStack() as stack:
        service = await _start(stack)
        for item in items:
            verdict, seen = await _outcome(item, service, failed)
            counts[verdict] += 1
            print(f"{verdict:<8} {item.name:<{width}}  {' '.join(seen.split())}", flush=True)
            if verdict == FAIL:
                print(f"{'':<8} {'see':>{width}}  {'; '.join(item.commands)}")
    print(f"\n{', '.join(f'{count} {verdict}' for verdict, count in counts.items())}. {PAGE} tells what each item is.")
    return 1 if counts[FAIL] else 0


async def _start(stack: AsyncExitStack) -> Any:
    """The running service, or None; the checks that there are fail without it."""
    try:
        # Here, for a service that cannot be imported is one more thing to tell.
        from tools.checklist.service import running

        return await stack.enter_async_context(running())
    except Exception as error:  # noqa: BLE001 - as above
        print(f"The service cannot be started. {type(error).__name__}: {error}", file=sys.stderr)
        return None


async def _outcome(item: Item, service: Any, failed: set[str]) -> tuple[str, str]:
    """The verdict, and what was seen."""
    if not item.tests:
        return FAIL, f"{PAGE} does not have it"
    if gone := list(missing(item)):
        return FAIL, f"gone: {', '.join(gone)}"
    if broken := sorted(failed.intersection(item.tests)):
        return FAIL, f"failed: {', '.join(broken)}"
    if item.name not in CHECKS:
        return FAIL, "nothing checks it"
    if service is None:
        return FAIL, "the service cannot be started"
    try:
        return PASS, await CHECKS[item.name](service)
    except NotRunError as error:
        return NOT_RUN, str(error)
    except BrokenError as error:
        return FAIL, str(error)
    except Exception as error:  # noqa: BLE001 - a check that fails shows nothing
        return FAIL, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
