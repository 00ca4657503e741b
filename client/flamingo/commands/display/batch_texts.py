"""What `flamingo batch` prints: progress, the summary at the end, and the survey of a dry run.

Pure.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flamingo.batch.estimate import Survey
from flamingo.batch.progress import Progress
from flamingo.commands.display import error_texts
from flamingo_common.service import printable

MAX_FAILURES_SHOWN = 10
NOT_MEASURED = "no pod behind a router at the URL has measured its speed yet"
MAX_QUIET_S = 20.0
"""Without a result for longer, the time that is left is no longer predicted."""
HOUR_S = 3600
DAY_S = 24 * HOUR_S
MEGABYTE, GIGABYTE = 10**6, 10**9


@dataclass(frozen=True)
class Failure:
    """An item without a result."""

    key: str
    message: str


@dataclass(frozen=True)
class End:
    """How a batch ended."""

    progress: Progress
    failures: Sequence[Failure]
    """The first ones, also those that the next run tries again."""
    failures_before: Sequence[Failure]
    """The first ones of earlier runs."""
    location: str
    """Where the results are."""
    unfinished_path: str
    was_stopped: bool
    command: Sequence[str]
    """The arguments of this process."""


def duration(seconds: float) -> str:
    """Return a duration with the two units that matter: `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // 60} min {whole % 60} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // 60} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def audio(seconds: float) -> str:
    """Return an amount of audio, in audio-hours where it is one."""
    return (
        f"{seconds / HOUR_S:,.1f} audio-hours"
        if seconds >= HOUR_S
        else f"{seconds:,.0f} s of audio"
    )


def plural(num: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{num:,} {noun}{'' if num == 1 else 's'}"


def size(num_bytes: int) -> str:
    """Return a size in the unit that suits it."""
    if num_bytes >= GIGABYTE:
        return f"{num_bytes / GIGABYTE:,.1f} GB"
    return f"{num_bytes / MEGABYTE:,.1f} MB"


def num_processed(progress: Progress) -> int:
    """Return how many items this run is done with."""
    return progress.num_done + progress.num_failed + progress.num_unfinished


def left_s(progress: Progress, num_items: int | None) -> float | None:
    """Return the predicted time to the end, or None while it is unknown."""
    num = num_processed(progress)
    if num_items is None or num == 0 or progress.elapsed_s <= 0:
        return None
    return max(num_items - progress.num_skipped - num, 0) * progress.elapsed_s / num


def counts(progress: Progress) -> Iterator[str]:
    """Yield the counts of a run that are not zero."""
    yield f"{progress.num_done:,} done"
    if progress.num_failed:
        yield f"{progress.num_failed:,} failed"
    if progress.num_unfinished:
        yield f"{progress.num_unfinished:,} unfinished"
    if num_done := progress.num_skipped - progress.num_failed_before:
        yield f"{num_done:,} done before"
    if progress.num_failed_before:
        yield f"{progress.num_failed_before:,} failed before"


def amounts(progress: Progress) -> Iterator[str]:
    """Yield how much audio was processed, what of it is missing, and how fast it was."""
    yield audio(progress.audio_s)
    if progress.missing_s:
        yield f"{progress.missing_s:,.1f} s of audio missing"
    yield f"{progress.real_time_factor:,.1f}x real time"


def line(progress: Progress, num_items: int | None, quiet_s: float = 0.0) -> str:
    """Return the progress on one line; `quiet_s` is how long ago the last result came."""
    parts = [*counts(progress), *amounts(progress)]
    if num_items is not None:
        num = num_processed(progress) + progress.num_skipped
        parts.insert(0, f"{num:,} of {num_items:,}")
    rest = remaining(progress, num_items, quiet_s)
    return ", ".join([*parts, rest] if rest else parts)


def remaining(progress: Progress, num_items: int | None, quiet_s: float) -> str:
    """Return how long the rest will take, or that nothing has come for a while."""
    if quiet_s >= MAX_QUIET_S:
        return f"no result for {duration(quiet_s)}"
    rest_s = left_s(progress, num_items)
    return "" if rest_s is None else f"about {duration(rest_s)} left"


def summary(end: End) -> Iterator[str]:
    """Yield the lines at the end of a run: what was done, what failed, and what to do about it."""
    progress = end.progress
    line_ = ", ".join(counts(progress))
    if num_processed(progress):
        line_ += f"; {', '.join(amounts(progress))} in {duration(progress.elapsed_s)}"
    yield line_
    if not (num_processed(progress) or progress.num_skipped or end.was_stopped):
        yield "there was nothing to process: the source has no clips, or none for this shard"
    yield f"results: {printable.escape_line(end.location)}"
    for failure in end.failures[:MAX_FAILURES_SHOWN]:
        yield f"failed: {_failure(failure)}"
    num_more = progress.num_failed + progress.num_unfinished - MAX_FAILURES_SHOWN
    if num_more > 0:
        yield f"failed: … and {num_more:,} more; the results have the errors"
    yield from _failures_before(end)
    if progress.num_unfinished:
        yield f"unfinished items are listed in {printable.escape_line(end.unfinished_path)}"
    yield from _next_command(end)


def _failures_before(end: End) -> Iterator[str]:
    num, shown = end.progress.num_failed_before, end.failures_before[:MAX_FAILURES_SHOWN]
    for failure in shown[:num]:
        yield f"failed before: {_failure(failure)}"
    if num > len(shown):
        yield f"failed before: … and {num - len(shown):,} more; the results have the errors"


def _failure(failure: Failure) -> str:
    """Return the key and the message, which may begin with the key."""
    key, message = printable.escape_line(failure.key), _one_line(failure.message)
    return message if message.startswith(key) else f"{key}: {message}"


def _next_command(end: End) -> Iterator[str]:
    command = [one for one in end.command if one != "--retry-failed"]
    if end.was_stopped or end.progress.num_unfinished:
        yield f"to continue: {_shell(command)}"
    if end.progress.num_failed or end.progress.num_failed_before:
        yield f"to try the failed ones again: {_shell([*command, '--retry-failed'])}"


def survey_lines(found: Survey, time_s: float | None, problem: str = "") -> Iterator[str]:
    """Yield what a dry run has found.

    `time_s` is how long the fleet would need, and `problem` why that is not known.
    """
    clips = "more clip" if found.num_done_before else "clip"
    yield plural(found.num_items, clips) + (f", {size(found.num_bytes)}" if found.num_bytes else "")
    if found.num_done_before:
        yield _done_before(found)
    if found.audio_s is None:
        yield "audio: unknown, since no header of a clip was read"
    else:
        is_exact = found.num_known + found.num_probed >= found.num_items
        start = "" if is_exact else "about "
        basis = "" if is_exact else f" (from {found.num_probed + found.num_known:,} of the clips)"
        yield f"{start}{audio(found.audio_s)}{basis}"
    if time_s is None:
        yield f"time: unknown; {_one_line(problem) or NOT_MEASURED}"
    else:
        yield f"time: about {duration(time_s)} with the pods that are ready now"
    if found.num_malformed:
        lines = plural(found.num_malformed, "malformed line")
        yield f"{lines} would be recorded as failed:"
        for one in found.malformed:
            yield f"  {printable.escape_line(one.key)}: {_one_line(one.message)}"


def questions_line(num_questions: int, num_tokens: int) -> str:
    """Return what a dry run counts for the answers about one clip."""
    return (
        f"answers: {plural(num_questions, 'question')}, up to {num_tokens:,} tokens for each clip"
    )


def _done_before(found: Survey) -> str:
    verb = "was" if found.num_done_before == 1 else "were"
    line_ = f"{found.num_done_before:,} {verb} processed before"
    if not found.num_failed_before:
        return line_
    num = found.num_failed_before
    return f"{line_}, and {num:,} of them failed (--retry-failed tries them again)"


def _one_line(message: str) -> str:
    return printable.escape_line(error_texts.in_flags(message))


def _shell(command: Sequence[str]) -> str:
    return printable.escape_line(shlex.join(command))
