"""`flamingo bench`, which runs this module in its place."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from flamingo_common.service import extras
from flamingo_common.service.exit_status import ExitStatus

try:
    from flamingo_pod.bench import (
        audio_decoding,
        comparison,
        machine,
        options,
        processes,
        results,
        table,
    )
    from flamingo_pod.bench.catalog import BUNDLED, FLAMINGO, EngineCatalog
    from flamingo_pod.bench.comparison import BenchRound, BenchRow
    from flamingo_pod.bench.options import BenchOptions
    from flamingo_pod.bench.results import BenchResult, MachineInfo, NoResult
except ModuleNotFoundError as missing:
    line = extras.missing("flamingo bench", missing.name, "pod")
    print(line, file=sys.stderr)  # noqa: T201 - for the user
    raise SystemExit(ExitStatus.MISSING_DEPENDENCY) from None

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
REQUIRED = ("torch", "transformers")
OTHERS = {"accuracy": "flamingo_pod.bench.accuracy", "gpu": "flamingo_pod.bench.gpu.command"}
"""Benchmarks by name that import torch, which this module does not."""
UNLIMITED_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All that was measured, and where."""

    argv: Sequence[str]
    rounds: Sequence[BenchRound]
    rows: Sequence[BenchRow]
    machine: MachineInfo

    def encode(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {
            "command": [*self.argv],
            "machine": asdict(self.machine),
            "rows": [asdict(row) for row in self.rows],
            "rounds": [
                {name: results.encode(result) for name, result in one.items()}
                for one in self.rounds
            ],
        }


def main(argv: Sequence[str], catalog: EngineCatalog = BUNDLED) -> int:
    """Measure, print and write the report; return the exit status."""
    if argv and argv[0] == "decode":
        return audio_decoding.main(argv[1:])
    other = OTHERS.get(argv[0]) if argv else None
    requested = None if other else options.parse(argv, catalog)
    for name in REQUIRED:
        if importlib.util.find_spec(name) is None:
            _log(catalog, f"{name} is not installed; {extras.advice('pod')}")
            return ExitStatus.MISSING_DEPENDENCY
    if requested is None:
        return int(importlib.import_module(f"{other}").main(argv[1:]))
    here = machine.describe()
    rounds = measure(requested, catalog)
    report = BenchReport(argv, rounds, comparison.rows(rounds, requested.engines), here)
    _print(report, requested, catalog)
    if requested.out is not None:
        text = json.dumps(report.encode(), indent=1)
        requested.out.write_text(text, encoding="utf-8")
    return _status(report, catalog)


def measure(requested: BenchOptions, catalog: EngineCatalog) -> list[BenchRound]:
    """Return each engine's result by round; the order rotates from one round to the next."""
    if not requested.plan.quick:
        processes.run_engine(processes.PREPARE, requested, catalog)
    rounds: list[BenchRound] = []
    for number in range(requested.repeats):
        first = number % len(requested.engines)
        order = (*requested.engines[first:], *requested.engines[:first])
        results_by_name = {}
        for name in order:
            results_by_name[name] = result = processes.run_engine(name, requested, catalog)
            _log(catalog, f"{name} {number + 1}/{requested.repeats}: {_summary(result)}")
        rounds.append(results_by_name)
    return rounds


def _summary(result: BenchResult | NoResult) -> str:
    return result.reason if isinstance(result, NoResult) else f"{result.used.cpu_s:.1f} CPU-s"


def _print(report: BenchReport, requested: BenchOptions, catalog: EngineCatalog) -> None:
    last = {**report.rounds[-1], **comparison.without_result(report.rounds)}
    notes = table.footnotes({name: last[name] for name in requested.engines})
    origin = table.describe_origin([*catalog.prog.split(), *report.argv], report.machine)
    if requested.markdown:
        print(table.markdown(report.rows), *[f"- {note}" for note in notes], sep="\n")  # noqa: T201
        print(f"\n{origin}")  # noqa: T201
        return
    console = Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH, highlight=False)
    console.print(table.rich(report.rows))
    for text in (*notes, origin):
        console.print(text, markup=False)


def _status(report: BenchReport, catalog: EngineCatalog) -> int:
    """Return 1 if an engine failed, or if our engine's tokens differ from the reference's."""
    failed = any(each.is_failure for each in comparison.without_result(report.rounds).values())
    differing = [
        row
        for row in report.rows
        if row.engine == FLAMINGO
        and row.num_exact is not None
        and row.num_exact + row.num_tied != row.num_requests
    ]
    if differing:
        _log(catalog, "the engine's tokens differ from those of transformers' generate")
    return EXIT_FAILED if failed or differing else 0


def _log(catalog: EngineCatalog, text: str) -> None:
    print(f"{catalog.prog}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # the engine's process received it, too
        sys.exit(EXIT_INTERRUPTED)
