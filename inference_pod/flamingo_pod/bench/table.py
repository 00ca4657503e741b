"""The table of results, for a terminal or in Markdown.

Pure: it returns the text to print.
"""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from flamingo_pod.bench.catalog import BASELINE, REFERENCE
from flamingo_pod.bench.comparison import BenchRow
from flamingo_pod.bench.results import BenchResult, FollowUpShares, MachineInfo, NoResult

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
    """Return the cells of one row, in the order of the headings."""
    return (
        row.engine,
        _seconds_and_range(row),
        f"{row.wall_s:.1f}",
        str(row.num_tokens),
        f"{row.tokens_per_cpu_s:.1f}",
        _or_missing(row.times_baseline),
        _or_missing(row.first_token_p50_s),
        _or_missing(row.first_token_p95_s),
        MISSING if row.num_exact is None else _equal(row),
        f"{row.peak_rss_bytes / BYTES_PER_MB:.0f}",
    )


def rich(rows: Iterable[BenchRow]) -> Table:
    """Return the table for a terminal, without borders."""
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


def footnotes(results: Mapping[str, BenchResult | NoResult]) -> list[str]:
    """Return what the table has no column for: missing engines, notes, stages, follow-ups."""
    notes = []
    for name, result in results.items():
        if isinstance(result, NoResult):
            notes.append(f"{name}: {'failed' if result.is_failure else 'skipped'}: {result.reason}")
        else:
            notes += [f"{name}: {text}" for text in _run_notes(result)]
    return notes


def describe_origin(command: Sequence[str], machine: MachineInfo) -> str:
    """Return the line that names the command, the machine and the versions."""
    return (
        f"`{' '.join(command)}` on {machine.cpu}, {machine.num_cores} cores "
        f"(load average {machine.load_average} before), one thread per engine, "
        f"commit {machine.commit}, torch {machine.torch}, transformers {machine.transformers}"
    )


def _run_notes(run: BenchResult) -> list[str]:
    notes = [run.note] if run.note else []
    if run.stages_s:
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in run.stages_s.items())
        notes.append(f"seconds by stage: {stages}")
    if run.follow_ups is not None:
        notes.append(_follow_ups(run.follow_ups))
    return notes


def _follow_ups(follow_ups: FollowUpShares) -> str:
    return (
        f"follow-up questions computed {_percents(follow_ups.computed)} of their prompts; "
        f"{_percents(follow_ups.new)} was new"
    )


def _percents(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:.1%}" for share in shares)


def _seconds_and_range(row: BenchRow) -> str:
    low_s, high_s = row.cpu_range_s
    spread = f" ({low_s:.1f}-{high_s:.1f})" if low_s != high_s else ""
    return f"{row.cpu_s:.1f}{spread}"


def _equal(row: BenchRow) -> str:
    tied = f" + {row.num_tied} tied" if row.num_tied else ""
    return f"{row.num_exact}/{row.num_requests}{tied}"


def _or_missing(number: float | None) -> str:
    return MISSING if number is None else f"{number:.2f}"
