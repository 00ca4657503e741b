"""Runs → one row an engine: medians, ratios taken within a repeat, tokens that are the same.

Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from flamingo_pod.bench.options import BASELINE, REFERENCE
from flamingo_pod.bench.outcome import BenchOutput, BenchResult, NoResult

BenchRound = Mapping[str, BenchResult | NoResult]
"""What each engine did in one round."""


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One engine's figures; medians over the repeats."""

    engine: str
    cpu_s: float
    cpu_range_s: tuple[float, float]
    wall_s: float
    num_tokens: int
    tokens_per_cpu_s: float
    times_baseline: float | None
    """Tokens per CPU-second over the static batches' of the same repeat."""
    first_token_p50_s: float | None
    first_token_p95_s: float | None
    num_requests: int
    num_exact: int | None
    """Answers equal to the reference's, token for token, in the worst repeat."""
    num_tied: int
    """Answers that leave the reference's at a near-tie of its own, in the worst repeat."""
    peak_rss_bytes: int


def rows(repeats: Sequence[BenchRound], engines: Iterable[str]) -> list[BenchRow]:
    """Return a row for each engine that ran in every repeat."""
    ran = {name: [repeat[name] for repeat in repeats] for name in engines}
    return [
        _row(name, [run for run in runs if isinstance(run, BenchResult)], repeats)
        for name, runs in ran.items()
        if all(isinstance(run, BenchResult) for run in runs)
    ]


def left_out(repeats: Sequence[BenchRound]) -> dict[str, NoResult]:
    """Return who has no row, and why."""
    return {
        name: outcome
        for repeat in repeats
        for name, outcome in repeat.items()
        if isinstance(outcome, NoResult)
    }


TIE = 0.02
"""Logits this near are a tie: on flamingo-tiny-27m transformers' own float32 logits are up to
0.0094 from its float64 ones (docs/decisions/0008-float32-near-ties.md), and so are another's."""


def num_exact(answers: Sequence[BenchOutput], reference: Sequence[BenchOutput]) -> int:
    """Return how many answers have exactly the reference's tokens."""
    expected = {answer.number: answer.token_ids for answer in reference}
    return sum(expected.get(answer.number) == answer.token_ids for answer in answers)


def num_tied(answers: Sequence[BenchOutput], reference: Sequence[BenchOutput]) -> int:
    """Return how many answers first leave the reference's at a token that it held for a tie."""
    expected = {answer.number: answer for answer in reference}
    return sum(_is_tied(answer, expected[answer.number]) for answer in answers)


def _is_tied(answer: BenchOutput, reference: BenchOutput) -> bool:
    pairs = zip(answer.token_ids, reference.token_ids, reference.margins, strict=False)
    margins = [margin for one, other, margin in pairs if one != other]
    return bool(margins) and margins[0] <= TIE


def _row(name: str, runs: Sequence[BenchResult], repeats: Sequence[BenchRound]) -> BenchRow:
    cpu_s = [run.used.cpu_s for run in runs]
    firsts_s = [_firsts_s(run) for run in runs]
    num_tokens = sum(len(answer.token_ids) for answer in runs[0].answers)
    return BenchRow(
        engine=name,
        cpu_s=median(cpu_s),
        cpu_range_s=(min(cpu_s), max(cpu_s)),
        wall_s=median(run.used.wall_s for run in runs),
        num_tokens=num_tokens,
        tokens_per_cpu_s=num_tokens / median(cpu_s),
        times_baseline=_against(BASELINE, _speed_up, runs, repeats),
        first_token_p50_s=_percentile(firsts_s, 50),
        first_token_p95_s=_percentile(firsts_s, 95),
        num_requests=len(runs[0].answers),
        num_exact=_worst_exact(runs, repeats),
        num_tied=_most_tied(runs, repeats),
        peak_rss_bytes=max(run.used.peak_rss_bytes for run in runs),
    )


def _worst_exact(runs: Sequence[BenchResult], repeats: Sequence[BenchRound]) -> int | None:
    pairs = _paired(REFERENCE, runs, repeats)
    return min((num_exact(run.answers, other.answers) for run, other in pairs), default=None)


def _most_tied(runs: Sequence[BenchResult], repeats: Sequence[BenchRound]) -> int:
    pairs = _paired(REFERENCE, runs, repeats)
    return max((num_tied(run.answers, other.answers) for run, other in pairs), default=0)


def _against(
    rival: str,
    ratio: Callable[[BenchResult, BenchResult], float],
    runs: Sequence[BenchResult],
    repeats: Sequence[BenchRound],
) -> float | None:
    pairs = _paired(rival, runs, repeats)
    return median(ratio(run, other) for run, other in pairs) if pairs else None


def _paired(
    rival: str, runs: Sequence[BenchResult], repeats: Sequence[BenchRound]
) -> list[tuple[BenchResult, BenchResult]]:
    """Return each run beside the rival's of the same repeat: they met the same machine."""
    others = [repeat.get(rival) for repeat in repeats]
    both = zip(runs, others, strict=True)
    return [(run, other) for run, other in both if isinstance(other, BenchResult)]


def _speed_up(run: BenchResult, other: BenchResult) -> float:
    return other.used.cpu_s / run.used.cpu_s  # their tokens are equally many


def _firsts_s(run: BenchResult) -> list[float]:
    return [answer.first_token_s for answer in run.answers if answer.first_token_s is not None]


def _percentile(firsts_s: Sequence[Sequence[float]], percent: int) -> float | None:
    if not all(firsts_s):
        return None
    return median(float(np.percentile(one, percent)) for one in firsts_s)
