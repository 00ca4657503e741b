"""The tables of the comparison, as Markdown. Pure."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.flood_sim import CALM
from bench.simulator import at
from bench.sleeping_pods.traffic import Answer

BASE = "haproxy"
MAX_LATE_S = 0.5
"""Beyond which the bench, not the proxy, is what was measured."""
Outcome = Mapping[str, Sequence[Answer]]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text, and the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def waits(outcome: Outcome) -> str:
    """Return the seconds to the first token, of all, of short and of long clips."""
    figures = {name: _figures(answers) for name, answers in outcome.items()}
    base = figures.get(BASE, (math.nan,) * 6)
    head = ["proxy", "requests", "not answered", "mean", "p99"]
    head += ["short mean", "short p99", "long mean", "long p99"]
    head += ["mean / HAProxy", "short mean", "long p99", "sent late, p99"]
    rows = []
    for name, answers in outcome.items():
        of, late = figures[name], sorted(each.sent_late_s for each in answers)
        lost = sum(each.last_token_s is None for each in answers)
        ratios = [of[index] / base[index] for index in (0, 2, 5)]
        cells = [f"{seconds:.2f}" for seconds in (*of, *ratios, at(late, 0.99))]
        rows.append([name, str(len(answers)), str(lost), *cells])
    return table(head, rows)


def _figures(answers: Sequence[Answer]) -> tuple[float, ...]:
    """Return mean and p99 of all, of short, and of long clips."""
    met = [each for each in answers if each.first_token_s is not None]
    groups = (met, [e for e in met if e.is_short], [e for e in met if not e.is_short])
    return tuple(figure for group in groups for figure in _mean_and_p99(group))


def _mean_and_p99(group: Sequence[Answer]) -> tuple[float, float]:
    if not group:
        return math.nan, math.nan
    ordered = sorted(each.first_token_s for each in group)
    return statistics.fmean(ordered), at(ordered, 0.99)


def goodput(by_load: Mapping[float, Outcome]) -> str:
    """Return the share of requests, and of long clips, that are done before their deadline."""
    names = list(next(iter(by_load.values()), {}))
    head = ["proxy", *(f"load {load:g}" for load in by_load)]
    rows = [[name, *(_share(outcome[name]) for outcome in by_load.values())] for name in names]
    return table(head, rows)


def _share(answers: Sequence[Answer]) -> str:
    def done(some):
        return sum(each.last_token_s is not None for each in some) / max(len(some), 1)

    # The first meet a fleet that is still empty, and behind the last nobody comes.
    counted = answers[len(answers) // 3 : len(answers) * 5 // 6]
    long = [each for each in counted if not each.is_short]
    span_s = counted[-1].job.at_s - counted[0].job.at_s
    per_s = done(counted) * len(counted) / span_s
    late_s = at(sorted(each.sent_late_s for each in answers), 0.99)
    note = f", SENT {late_s:.1f} s LATE" if late_s > MAX_LATE_S else ""
    return f"{per_s:.1f}/s ({done(counted):.0%}, long {done(long):.0%}{note})"


def fairness(alone: Outcome, beside: Outcome, seconds: float) -> str:
    """Return what the calm key met alone, and beside the flood."""
    head = ["proxy", "alone, p50", "beside, p50", "beside / alone"]
    head += ["calm: not answered", "flood answered"]
    rows = []
    for name in beside:
        calm = [each for each in beside[name] if each.job.tenant == CALM]
        flooding = [each for each in beside[name] if each.job.tenant != CALM]
        before, after = _median(alone[name]), _median(calm)
        lost = sum(each.last_token_s is None for each in calm)
        rate = sum(each.last_token_s is not None for each in flooding) / seconds
        cells = [f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"]
        rows.append([name, *cells, f"{lost} of {len(calm)}", f"{rate:.1f}/s"])
    return table(head, rows)


def _median(answers: Sequence[Answer]) -> float:
    """Return the median time to the last token; what had none by its deadline took longer."""
    times = [math.inf if each.last_token_s is None else each.last_token_s for each in answers]
    return statistics.median(times) if times else math.nan
