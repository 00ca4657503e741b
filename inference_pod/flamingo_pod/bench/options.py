"""The command line of `flamingo bench engine`; a usage error exits with 2 and lists every error."""

import argparse
import math
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flamingo_pod.bench.catalog import EngineCatalog
from flamingo_pod.bench.workload import KINDS, WorkloadPlan

ABOUT = """\
Measure engines on the same workload: in fresh processes, with one thread each, greedy, in
float32, and with answers of exactly the requested length. CPU-seconds are compared; wall-clock
time is reported, but unreliable on a shared machine.

engines:
{engines}

workloads, of 16 clips of 4 to 40 s and answers of 16 to 128 tokens:
  staggered   clips arrive one by one
  at-once     all clips arrive at the start
  repeated    8 clips with 4 questions each, each asked when the previous one is answered
  equal       16 clips of 30 s, 64 tokens each: where batching gains least
"""
HELP_WIDTH = 96


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The parsed command line."""

    plan: WorkloadPlan
    model: str
    engines: tuple[str, ...]
    repeats: int
    out: Path | None
    markdown: bool


def parse(argv: Sequence[str], catalog: EngineCatalog) -> BenchOptions:
    """Return the options, or print every error and exit with status 2."""
    arguments = _parser(catalog).parse_args(argv)
    engines = tuple((arguments.engines or ",".join(catalog.descriptions)).split(","))
    if errors := [*_errors(arguments, engines, catalog)]:
        prog = catalog.prog
        print(f"{prog}: " + f"\n{prog}: ".join(errors), file=sys.stderr)  # noqa: T201 - usage error
        raise SystemExit(2)
    return BenchOptions(
        plan=_plan(arguments),
        model=arguments.model or ("flamingo-tiny" if arguments.quick else "flamingo-tiny-27m"),
        engines=engines,
        repeats=arguments.repeats,
        out=arguments.out,
        markdown=arguments.markdown,
    )


def _plan(arguments: Any) -> WorkloadPlan:
    is_repeated = arguments.workload == "repeated"
    default_clips = 3 if is_repeated else 9
    if not arguments.quick:
        default_clips = 8 if is_repeated else 16
    return WorkloadPlan(
        kind=arguments.workload,
        num_clips=arguments.clips or default_clips,
        num_questions=(arguments.questions or 4) if is_repeated else 1,
        arrival_scale=arguments.arrival_scale,
        seed=arguments.seed,
        quick=arguments.quick,
    )


def _parser(catalog: EngineCatalog) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=catalog.prog, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    engine = commands.add_parser(
        "engine",
        help="measure inference engines on one workload",
        description=ABOUT.format(engines=_descriptions(catalog)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands.add_parser("decode", help="measure audio decoding by format", add_help=False)
    commands.add_parser("gpu", help="compare the engine with what a GPU can do", add_help=False)
    commands.add_parser("accuracy", help="compare FP8 with other precisions", add_help=False)
    _add_workload_options(engine)
    _add_run_options(engine, catalog)
    return parser


def _descriptions(catalog: EngineCatalog) -> str:
    width = max(map(len, catalog.descriptions)) + 4
    return "\n".join(
        textwrap.fill(
            text,
            HELP_WIDTH,
            initial_indent=f"  {name}".ljust(width),
            subsequent_indent=" " * width,
        )
        for name, text in catalog.descriptions.items()
    )


def _add_workload_options(engine: argparse.ArgumentParser) -> None:
    add = engine.add_argument_group("workload").add_argument
    add("--workload", choices=KINDS, default="staggered", help="default: %(default)s")
    add("--quick", action="store_true", help="a few seconds with the tiny model; a smoke test only")
    add("--model", help="built-in name, folder or hub id; default: flamingo-tiny-27m")
    add("--clips", type=int, help="number of clips")
    add("--questions", type=int, help="questions per clip; default: 4; repeated only")
    add(
        "--arrival-scale",
        type=float,
        default=1.0,
        help="factor on the time between arrivals (0.25 s on average); staggered only",
    )
    add(
        "--seed",
        type=int,
        default=0,
        help="random seed of clips, answer lengths and arrivals; default: 0",
    )


def _add_run_options(engine: argparse.ArgumentParser, catalog: EngineCatalog) -> None:
    add = engine.add_argument_group("run").add_argument
    names = ",".join(catalog.descriptions)
    add("--engines", help=f"engines to measure, comma-separated; default: {names}")
    add("--repeats", type=int, default=1, help="runs of each engine, interleaved; default: 1")
    add("--out", type=Path, help="write all measurements to this file, as JSON")
    add("--markdown", action="store_true", help="print the table in Markdown")


def _errors(arguments: Any, engines: tuple[str, ...], catalog: EngineCatalog) -> Iterator[str]:
    """Yield one sentence for each error."""
    names = catalog.descriptions
    for name in engines:
        if name not in names:
            yield f"--engines: unknown engine {name!r}; available: {', '.join(names)}"
    if len(set(engines)) < len(engines):
        yield "--engines: an engine is listed twice"
    yield from _number_errors(arguments)
    if arguments.questions is not None and arguments.workload != "repeated":
        yield "--questions: only valid with --workload repeated"
    if arguments.out is not None and not arguments.out.absolute().parent.is_dir():
        yield f"--out: the folder {arguments.out.absolute().parent} does not exist"


def _number_errors(arguments: Any) -> Iterator[str]:
    minimums = {"clips": 1, "questions": 1, "repeats": 1, "seed": 0}
    for flag, minimum in minimums.items():
        number = getattr(arguments, flag)
        if number is not None and number < minimum:
            yield f"--{flag}: {number} is less than {minimum}"
    if not (math.isfinite(arguments.arrival_scale) and arguments.arrival_scale >= 0):
        yield f"--arrival-scale: {arguments.arrival_scale} is not a finite number of at least 0"
