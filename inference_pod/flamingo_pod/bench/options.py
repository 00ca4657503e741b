"""The command line of `flamingo bench engine`; a wrong use ends the program, all faults told."""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flamingo_pod.bench.workload import KINDS, WorkloadPlan

PROG = "flamingo bench"
REFERENCE = "generate"
BASELINE = "static"
OURS = "ours"
ENGINES = (REFERENCE, BASELINE, "continuous", "vllm", OURS)
ABOUT = """\
Measure our engine and its rivals on the same work: in fresh processes, one thread each, greedy,
float32, each answer exactly as long as asked. CPU-seconds decide; wall seconds are a note.

engines:
  generate    transformers, processor then generate, one request after the other; the reference
              that all others' tokens must equal
  static      transformers, left-padded batches of 8 that last as long as their longest answer
  continuous  transformers' continuous batching, its prompts pointing at audio embeddings
  vllm        vLLM with an AudioFlamingo3 of the same size, where it is installed
  ours        the engine that `flamingo serve` runs

workloads, of 16 clips of 4 to 40 s and answers of 16 to 128 tokens:
  staggered   clips arrive one by one
  at-once     all clips are there from the start
  repeated    8 clips, 4 questions about each, the next when the last is answered
  equal       16 clips of 30 s, 64 tokens each: where batching gains least
"""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the person wants."""

    plan: WorkloadPlan
    model: str
    engines: tuple[str, ...]
    repeats: int
    out: Path | None
    markdown: bool


def parse(argv: Sequence[str]) -> BenchOptions:
    """Return the options, or print every fault and exit with status 2."""
    parser = _parser()
    given = parser.parse_args(argv)
    engines = tuple(given.engines.split(","))
    if told := [*_faults(given, engines)]:
        print(f"{PROG}: " + f"\n{PROG}: ".join(told), file=sys.stderr)  # noqa: T201 - usage goes to a person
        raise SystemExit(2)
    return BenchOptions(
        plan=_plan(given),
        model=given.model or ("flamingo-tiny" if given.quick else "flamingo-tiny-27m"),
        engines=engines,
        repeats=given.repeats,
        out=given.out,
        markdown=given.markdown,
    )


def _plan(given: Any) -> WorkloadPlan:
    is_repeated = given.workload == "repeated"
    usual_clips = 3 if is_repeated else 9
    if not given.quick:
        usual_clips = 8 if is_repeated else 16
    return WorkloadPlan(
        kind=given.workload,
        num_clips=given.clips or usual_clips,
        num_questions=(given.questions or 4) if is_repeated else 1,
        arrival_scale=given.arrival_scale,
        seed=given.seed,
        quick=given.quick,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROG, allow_abbrev=False)
    verbs = parser.add_subparsers(required=True, metavar="WHAT")
    engine = verbs.add_parser(
        "engine",
        help="our engine against its rivals",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs.add_parser("decode", help="decoding, by format; has a --help of its own", add_help=False)
    _add_work(engine)
    _add_run(engine)
    return parser


def _add_work(engine: argparse.ArgumentParser) -> None:
    add = engine.add_argument_group("work").add_argument
    add("--workload", choices=KINDS, default="staggered", help="default: %(default)s")
    add("--quick", action="store_true", help="seconds of it, with the tiny model; proves nothing")
    add("--model", help="built-in name, folder or hub id; default: flamingo-tiny-27m")
    add("--clips", type=int, help="how many clips")
    add("--questions", type=int, help="how many about each clip; default: 4; repeated only")
    add(
        "--arrival-scale",
        type=float,
        default=1.0,
        help="stretches the seconds between arrivals (0.25 on average); staggered only",
    )
    add("--seed", type=int, default=0, help="of clips, answers' lengths and arrivals")


def _add_run(engine: argparse.ArgumentParser) -> None:
    add = engine.add_argument_group("run").add_argument
    add("--engines", default=",".join(ENGINES), help="which, with commas; default: %(default)s")
    add("--repeats", type=int, default=1, help="how often, the engines taking turns; default: 1")
    add("--out", type=Path, help="write all that was measured to this file, as JSON")
    add("--markdown", action="store_true", help="print the table as docs/benchmarks.md has it")


def _faults(given: Any, engines: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each fault."""
    for name in engines:
        if name not in ENGINES:
            yield f"--engines: there is no {name!r}; there are {', '.join(ENGINES)}"
    if len(set(engines)) < len(engines):
        yield "--engines: each can be named once"
    yield from _bad_numbers(given)
    if given.questions is not None and given.workload != "repeated":
        yield "--questions: only --workload repeated asks more than one"
    if given.out is not None and not given.out.absolute().parent.is_dir():
        yield f"--out: there is no folder {given.out.absolute().parent}"


def _bad_numbers(given: Any) -> Iterator[str]:
    least = {"clips": 1, "questions": 1, "repeats": 1, "seed": 0}
    for flag, lowest in least.items():
        number = getattr(given, flag)
        if number is not None and number < lowest:
            yield f"--{flag}: {number} is less than {lowest}"
    if not (math.isfinite(given.arrival_scale) and given.arrival_scale >= 0):
        yield f"--arrival-scale: {given.arrival_scale} is no factor"
