"""`make bench`: measure, print a table and write `build/bench.json`. Missed bars are shown, and fail nothing."""

from pathlib import Path

from bench import engine, figures, render, requests, sharing, storm

REPORT = Path("build/bench.json")


def main() -> None:
    """Run every benchmark."""
    measured = [figure for module in (render, engine, storm, requests, sharing) for figure in module.figures()]
    figures.write(measured, REPORT)
    print(figures.table(measured))
    print(f"\nSamples are in {REPORT}.")


if __name__ == "__main__":
    main()
