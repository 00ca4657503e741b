"""`python -m flamingo_pod.bench`, which `flamingo bench` becomes."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from flamingo_pod.bench import children, compare, decoding, machine, options, outcome, table
from flamingo_pod.bench.compare import BenchRound, BenchRow
from flamingo_pod.bench.options import OURS, PROG, BenchOptions
from flamingo_pod.bench.outcome import BenchResult, MachineInfo, NoResult

EXIT_FAILED = 1
EXIT_NOT_INSTALLED = 5
EXIT_INTERRUPTED = 130
NEEDED = ("torch", "transformers")
UNBOUNDED_WIDTH = 1000


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; return the exit status."""
    if argv and argv[0] == "decode":
        return decoding.main(argv[1:])
    wanted = options.parse(argv)
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            _tell(f"{name} is not installed; pip install 'flamingo-fleet[pod]'")
            return EXIT_NOT_INSTALLED
    found = machine.look()
    repeats = measure(wanted)
    rows = compare.rows(repeats, wanted.engines)
    outcomes = {**repeats[-1], **compare.left_out(repeats)}
    _show(argv, wanted, (rows, outcomes), found)
    if wanted.out is not None:
        report = json.dumps(_report(argv, rows, repeats, found), indent=1)
        wanted.out.write_text(report, encoding="utf-8")
    return _status(rows, repeats)


def measure(wanted: BenchOptions) -> list[BenchRound]:
    """Return what each engine did in each repeat; who goes first changes from one to the next."""
    if not wanted.plan.quick:
        children.run(children.PREPARE, wanted)
    repeats: list[BenchRound] = []
    for number in range(wanted.repeats):
        turn = number % len(wanted.engines)
        order = (*wanted.engines[turn:], *wanted.engines[:turn])
        repeats.append({name: _measured(name, number + 1, wanted) for name in order})
    return repeats


def _measured(name: str, number: int, wanted: BenchOptions) -> BenchResult | NoResult:
    done = children.run(name, wanted)
    told = done.reason if isinstance(done, NoResult) else f"{done.used.cpu_s:.1f} CPU-s"
    _tell(f"{name} {number}/{wanted.repeats}: {told}")
    return done


def _show(
    argv: Sequence[str],
    wanted: BenchOptions,
    found: tuple[list[BenchRow], BenchRound],
    where: MachineInfo,
) -> None:
    rows, outcomes = found
    notes = table.footnotes({name: outcomes[name] for name in wanted.engines})
    if wanted.markdown:
        print(table.markdown(rows), *[f"- {note}" for note in notes], sep="\n")  # noqa: T201
        print(f"\n{table.origin(argv, where)}")  # noqa: T201
        return
    console = Console(width=None if sys.stdout.isatty() else UNBOUNDED_WIDTH, highlight=False)
    console.print(table.rich(rows))
    for text in (*notes, table.origin(argv, where)):
        console.print(text, markup=False)


def _report(
    argv: Sequence[str], rows: list[BenchRow], repeats: list[BenchRound], found: MachineInfo
) -> dict[str, Any]:
    return {
        "command": [*argv],
        "machine": asdict(found),
        "rows": [asdict(row) for row in rows],
        "repeats": [
            {name: outcome.encode(done) for name, done in repeat.items()} for repeat in repeats
        ],
    }


def _status(rows: list[BenchRow], repeats: list[BenchRound]) -> int:
    """Return 1 when an engine that should have run did not, or ours said other tokens."""
    failed = any(out.is_failure for out in compare.left_out(repeats).values())
    is_wrong = [
        row
        for row in rows
        if row.engine == OURS
        and row.num_exact is not None
        and row.num_exact + row.num_tied != row.num_requests
    ]
    if is_wrong:
        _tell("ours does not say what transformers' generate says")
    return EXIT_FAILED if failed or is_wrong else 0


def _tell(text: str) -> None:
    print(f"{PROG}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress goes to a person


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # the running child got it, too
        sys.exit(EXIT_INTERRUPTED)
