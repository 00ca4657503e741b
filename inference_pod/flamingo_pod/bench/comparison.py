"""Summarize the results of each engine in one row: medians, ratios within a round, equal tokens.

Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from flamingo_pod.bench.catalog import BASELINE, REFERENCE
from flamingo_pod.bench.results import BenchOutput, BenchResult, NoResult

BenchRound = Mapping[str, BenchResult | NoResult]
"""Each engine's result in one round."""


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One engine's figures; medians over the rounds."""

    engine: str
    cpu_s: float
    cpu_range_s: tuple[float, float]
    wall_s: float
    num_tokens: int
    tokens_per_cpu_s: float
    times_baseline: float | None
    """Tokens per CPU-second relative to the baseline of the same round."""
    first_token_p50_s: float | None
    first_token_p95_s: float | None
    num_requests: int
    num_exact: int | None
    """Outputs equal to the reference's, token for token, in the worst round."""
    num_tied: int
    """Outputs that diverge from the reference's at a near-tie, in the worst round."""
    peak_rss_bytes: int


def rows(rounds: Sequence[BenchRound], engines: Iterable[str]) -> list[BenchRow]:
    """Return a row for each engine that has a result in every round."""
    ran = {name: [one[name] for one in rounds] for name in engines}
    return [
        _row(name, [run for run in runs if isinstance(run, BenchResult)], rounds)
        for name, runs in ran.items()
        if all(isinstance(run, BenchResult) for run in runs)
    ]


def without_result(rounds: Sequence[BenchRound]) -> dict[str, NoResult]:
    """Return the engines that lack a result in any round, and why."""
    return {
        name: result
        for one in rounds
        for name, result in one.items()
        if isinstance(result, NoResult)
    }


TIE = 0.02
"""Logits this close are a tie: on flamingo-tiny-27m transformers' own float32 logits differ by up
to 0.0094 from its float64 ones (docs/decisions/0008-float32-near-ties.md)."""


def num_exact(outputs: Sequence[BenchOutput], reference: Sequence[BenchOutput]) -> int:
    """Return how many outputs have exactly the reference's tokens."""
    expected = {output.number: output.token_ids for output in reference}
    return sum(expected.get(output.number) == output.token_ids for output in outputs)


def num_tied(outputs: Sequence[BenchOutput], reference: Sequence[BenchOutput]) -> int:
    """Return how many outputs first diverge from the reference's at a near-tie of its logits."""
    expected = {output.number: output for output in reference}
    return sum(_is_tied(output, expected[output.number]) for output in outputs)


def _is_tied(output: BenchOutput, reference: BenchOutput) -> bool:
    pairs = zip(output.token_ids, reference.token_ids, reference.margins, strict=False)
    margins = [margin for one, other, margin in pairs if one != other]
    return bool(margins) and margins[0] <= TIE


def _row(engine: str, runs: Sequence[BenchResult], rounds: Sequence[BenchRound]) -> BenchRow:
    cpu_s = [run.used.cpu_s for run in runs]
    firsts_s = [_firsts_s(run) for run in runs]
    num_tokens = sum(len(output.token_ids) for output in runs[0].outputs)
    return BenchRow(
        engine=engine,
        cpu_s=median(cpu_s),
        cpu_range_s=(min(cpu_s), max(cpu_s)),
        wall_s=median(run.used.wall_s for run in runs),
        num_tokens=num_tokens,
        tokens_per_cpu_s=num_tokens / median(cpu_s),
        times_baseline=_against(BASELINE, _speed_up, runs, rounds),
        first_token_p50_s=_percentile(firsts_s, 50),
        first_token_p95_s=_percentile(firsts_s, 95),
        num_requests=len(runs[0].outputs),
        num_exact=_worst_exact(runs, rounds),
        num_tied=_most_tied(runs, rounds),
        peak_rss_bytes=max(run.used.peak_rss_bytes for run in runs),
    )


def _worst_exact(runs: Sequence[BenchResult], rounds: Sequence[BenchRound]) -> int | None:
    pairs = _paired(REFERENCE, runs, rounds)
    return min((num_exact(run.outputs, other.outputs) for run, other in pairs), default=None)


def _most_tied(runs: Sequence[BenchResult], rounds: Sequence[BenchRound]) -> int:
    pairs = _paired(REFERENCE, runs, rounds)
    return max((num_tied(run.outputs, other.outputs) for run, other in pairs), default=0)


def _against(
    name: str,
    ratio: Callable[[BenchResult, BenchResult], float],
    runs: Sequence[BenchResult],
    rounds: Sequence[BenchRound],
) -> float | None:
    pairs = _paired(name, runs, rounds)
    return median(ratio(run, other) for run, other in pairs) if pairs else None


def _paired(
    name: str, runs: Sequence[BenchResult], rounds: Sequence[BenchRound]
) -> list[tuple[BenchResult, BenchResult]]:
    """Return each run with that of engine `name` in the same round: under the same load."""
    others = [one.get(name) for one in rounds]
    both = zip(runs, others, strict=True)
    return [(run, other) for run, other in both if isinstance(other, BenchResult)]


def _speed_up(run: BenchResult, other: BenchResult) -> float:
    return other.used.cpu_s / run.used.cpu_s  # both have the same number of tokens


def _firsts_s(run: BenchResult) -> list[float]:
    return [output.first_token_s for output in run.outputs if output.first_token_s is not None]


def _percentile(firsts_s: Sequence[Sequence[float]], percent: int) -> float | None:
    if not all(firsts_s):
        return None
    return median(float(np.percentile(one, percent)) for one in firsts_s)
