"""Rows → a table for people, or one to paste into docs/benchmarks.md.

Pure: it returns what is to be printed.
"""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from flamingo_pod.bench.compare import BenchRow
from flamingo_pod.bench.options import BASELINE, REFERENCE
from flamingo_pod.bench.outcome import BenchResult, FollowUpReuse, MachineInfo, NoResult

HEADINGS = (
    "engine",
    "CPU-s",
    "wall s",
    "tokens",
    "tok/CPU-s",
    f"x {BASELINE}",
    "TTFT p50 s",
    "TTFT p95 s",
    f"= {REFERENCE}",
    "peak MB",
)
MISSING = "-"
BYTES_PER_MB = 1_000_000


def cells(row: BenchRow) -> tuple[str, ...]:
    """Return the texts of one row, as many as there are headings."""
    return (
        row.engine,
        _seconds_and_range(row),
        f"{row.wall_s:.1f}",
        str(row.num_tokens),
        f"{row.tokens_per_cpu_s:.1f}",
        _or_missing(row.times_baseline),
        _or_missing(row.first_token_p50_s),
        _or_missing(row.first_token_p95_s),
        MISSING if row.num_exact is None else _same(row),
        f"{row.peak_rss_bytes / BYTES_PER_MB:.0f}",
    )


def rich(rows: Iterable[BenchRow]) -> Table:
    """Return the table for a terminal, or, drawn without lines, for programs."""
    table = Table(HEADINGS[0], box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*cells(row))
    return table


def markdown(rows: Iterable[BenchRow]) -> str:
    """Return the table in Markdown."""
    rule = ["---", *["---:"] * (len(HEADINGS) - 1)]
    lines = [HEADINGS, rule, *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def footnotes(outcomes: Mapping[str, BenchResult | NoResult]) -> list[str]:
    """Return what the table has no column for: who is missing, notes, stages, follow-ups."""
    told = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, NoResult):
            told.append(
                f"{name}: {'failed' if outcome.is_failure else 'left out'}: {outcome.reason}"
            )
        else:
            told += [f"{name}: {text}" for text in _of_run(outcome)]
    return told


def origin(command: Sequence[str], machine: MachineInfo) -> str:
    """Return the line that says where the figures are from."""
    return (
        f"`flamingo bench {' '.join(command)}` on {machine.cpu}, {machine.num_cores} cores "
        f"(load {machine.load_average} before), one thread an engine, commit {machine.commit}, "
        f"torch {machine.torch}, transformers {machine.transformers}"
    )


def _of_run(run: BenchResult) -> list[str]:
    told = [run.note] if run.note else []
    if run.stages_s:
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in run.stages_s.items())
        told.append(f"seconds of its stages: {stages}")
    if run.follow_ups is not None:
        told.append(_follow_ups(run.follow_ups))
    return told


def _follow_ups(follow_ups: FollowUpReuse) -> str:
    return (
        f"further questions about a clip read {_percents(follow_ups.shares)} of their prompt; "
        f"new in it is {_percents(follow_ups.least)}"
    )


def _percents(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:.1%}" for share in shares)


def _seconds_and_range(row: BenchRow) -> str:
    low_s, high_s = row.cpu_range_s
    spread = f" ({low_s:.1f}-{high_s:.1f})" if low_s != high_s else ""
    return f"{row.cpu_s:.1f}{spread}"


def _same(row: BenchRow) -> str:
    tied = f" + {row.num_tied} tied" if row.num_tied else ""
    return f"{row.num_exact}/{row.num_requests}{tied}"


def _or_missing(number: float | None) -> str:
    return MISSING if number is None else f"{number:.2f}"
