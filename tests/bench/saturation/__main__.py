"""Prints the saturation table of docs/benchmarks.md: `python -m bench.saturation`, in `tests`."""

import argparse
import os
import tempfile
from pathlib import Path

from bench.saturation import measure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.saturation")
    parser.add_argument("--model", default="flamingo-tiny-27m")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the goal is missed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        waits = measure.measure(given.model, seconds=given.seconds, folder=Path(folder))
    print("| path | requests | p50 ms | p99 ms | longest ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, each in waits.items():
        figures = (each.quantile(part) * 1000 for part in (0.5, 0.99, 1.0))
        print(f"| {name} | {len(each.all_s)} | " + " | ".join(f"{ms:.1f}" for ms in figures) + " |")
    print(f"\nload of the machine: {os.getloadavg()[0]:.1f}")
    missed = measure.missed(waits)
    verdict = f"missed by {', '.join(missed)}" if missed else "met"
    print(f"goal (p99 at most {measure.GOAL}): {verdict}")
    if missed and given.check:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
