"""Compares the policies: `python tests/bench/router_sim.py [--svg FOLDER] [--large]`.

Prints one table for each parameter; with `--svg` it also draws the distribution of the time to
the first token.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.simulator import Outcome, Setup, at, simulate

POLICIES = ("round-robin", "least-connections", "least-work-left-plain", "least-work-left")
COMPARED = POLICIES[1:]
HEAD = (
    "| {what} | policy | mean | p99 | short mean | short p99 | long p99 |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
)
COLOURS = dict(zip(POLICIES, ("#999999", "#d95f02", "#7570b3", "#1b9e77"), strict=True))
WIDTH, HEIGHT, MARGIN = 640, 360, 48
MAX_S = 20.0

TABLES = {
    "mix": [{"mix": mix} for mix in ("tail", "songs", "clips")],
    "load": [{"load": load} for load in (0.7, 0.9)],
    "repeats": [{"mix": "songs", "repeats": repeats} for repeats in (0.0, 0.4)],
    "num_routers": [{"num_routers": 3}, {"num_routers": 3, "shortest_first": True}],
    "error": [{"error": error} for error in (0.3, 1.0)],
    "slow_pods": [{"slow_pods": 2}],
    "deaths_per_s": [{"deaths_per_s": 0.02}],
    "num_pods": [{"num_pods": num} for num in (32, 128)],
}
LARGE = {"num_pods": [{"num_pods": 2000, "num_jobs": 60_000}]}


def row(options, policy, num_jobs):
    result = simulate(Setup(policy=policy, **{"num_jobs": num_jobs} | options))
    what = ", ".join(f"{name} {value}" for name, value in options.items())
    figures = (
        result.mean_s,
        result.p99_s,
        result.short_mean_s,
        result.short_p99_s,
        result.long_p99_s,
    )
    print(
        f"| {what} | {policy} | " + " | ".join(f"{each:.2f}" for each in figures) + " |", flush=True
    )
    return result


def plot(outcomes: dict[str, Outcome], title: str) -> str:
    """Return an SVG of the distribution of the time to the first token."""

    def x(seconds):
        return MARGIN + (WIDTH - 2 * MARGIN) * min(seconds / MAX_S, 1)

    def y(share):
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share

    def text(at_x, at_y, words, colour="#333"):
        return f'<text x="{at_x:.0f}" y="{at_y:.0f}" font-size="12" fill="{colour}">{words}</text>'

    parts = [
        text(MARGIN, 24, title),
        text(WIDTH / 2 - 60, HEIGHT - 12, "seconds to the first token"),
    ]
    parts += [text(x(s) - 6, HEIGHT - MARGIN + 16, str(s)) for s in (0, 5, 10, 15, 20)]
    parts += [text(8, y(share) + 4, f"{share:.0%}") for share in (0, 0.5, 1)]
    for number, (policy, outcome) in enumerate(outcomes.items()):
        colour, waits = COLOURS[policy], outcome.first_tokens_s
        steps = (k / 200 for k in range(201))
        points = " ".join(f"{x(at(waits, share)):.1f},{y(share):.1f}" for share in steps)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(text(WIDTH - 200, HEIGHT / 2 + 18 * number, policy, colour))
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}>' + "".join(parts) + "</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--svg", type=Path, help="folder for the SVG files")
    parser.add_argument(
        "--large", action="store_true", help="also simulate 2,000 pods; takes minutes"
    )
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="default: all")
    given = parser.parse_args()
    tables = {name: TABLES[name] for name in given.tables or TABLES}
    for name, rows in [*tables.items(), *(LARGE.items() if given.large else ())]:
        print("\n" + HEAD.format(what=name))
        for options in rows:
            policies = POLICIES if name == "mix" else COMPARED
            outcomes = {policy: row(options, policy, given.jobs) for policy in policies}
            if given.svg and name == "mix":
                picture = given.svg / f"{options['mix']}.svg"
                picture.write_text(plot(outcomes, f"{options['mix']} mix, load 0.8, 8 pods"))


if __name__ == "__main__":
    main()
