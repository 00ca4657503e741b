"""Measures the clip of a request beside the engine's work, and compares answers with the result.

What was measured is held with the clip, and requests about the same clip at the same time wait for
one measurement (`SharedTasks`), so that it is measured once. The measurement owns the file: the
request that started it may end before the others.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from flamingo_common.errors import BadRequest
from flamingo_common.measured.comparisons import Counterpart, compare
from flamingo_common.service import extras
from flamingo_common.wire.answers import Answer
from flamingo_common.wire.measured import Measured, MeasuredKey, to_comparison
from flamingo_pod.api.request import clip_reuse
from flamingo_pod.api.request.clip_intake import OriginalClip, PreparedClip
from flamingo_pod.caller import Caller
from flamingo_pod.measurement import availability, results
from flamingo_pod.measurement.measuring_pool import MeasuringFailed
from flamingo_pod.measurement.results import ClipMeasurements
from flamingo_pod.pod import Pod

HELD_BYTES = 1024
"""Of the results without the beats, about."""
BEAT_BYTES = 32


def check(*, measure: bool) -> None:
    """Check that this server can measure, if a request wants that.

    Raises:
        BadRequest: it cannot.
    """
    if measure and not availability.is_installed():
        raise BadRequest(
            f"measure: this server cannot measure, since librosa is not installed;"
            f" {extras.advice(availability.EXTRA)}",
            param="measure",
        )


@dataclass(frozen=True, slots=True)
class Measuring:
    """The measurement of a request's clip, which is being made."""

    caller: Caller
    task: "asyncio.Task[Measured] | None" = None
    """None: the request does not ask for it."""

    @property
    def is_awaited(self) -> bool:
        """Whether there will be a result, which is not there yet."""
        return self.task is not None and not self.task.done()

    async def result(self) -> Measured | None:
        """Return what was measured; None if the request does not ask for it.

        Raises:
            DeadlineExceeded: the request's deadline passed.
        """
        if self.task is None:
            return None
        async with self.caller.enforce_deadline():
            return await self.task

    async def compared(self, fields: Mapping[str, Counterpart], answer: Answer) -> Answer:
        """Return an answer with those of its fields beside what was measured that have it."""
        if not fields or answer.parsed is None or (measured := await self.result()) is None:
            return answer
        found = compare(
            fields,
            answer.parsed,
            tempo_bpm=measured.tempo_bpm,
            key=None if measured.key is None else measured.key.name,
        )
        return answer.model_copy(update={"comparisons": [to_comparison(each) for each in found]})


@contextlib.asynccontextmanager
async def started(pod: Pod, caller: Caller, clip: PreparedClip) -> AsyncIterator[Measuring]:
    """Measure the clip during the block, if the request asks for it; stop at its end."""
    if clip.original is None:
        yield Measuring(caller)
        return
    task = asyncio.create_task(_measure(pod, caller, clip.original))
    try:
        yield Measuring(caller, task)
    finally:
        task.cancel()
        # It has ended before the request's file is closed; its errors are those of `result`.
        await asyncio.gather(task, return_exceptions=True)


async def _measure(pod: Pod, caller: Caller, original: OriginalClip) -> Measured:
    how = ("measured", original.how)
    held = original.opened.held
    made_before: ClipMeasurements | None = None if held is None else held.find_decoded(how)
    if made_before is not None:
        original.reservation.free_file(original.file)
        pod.metrics.audio_measurements.labels("held").inc()
        return to_measured(made_before)
    # A pod that holds no clips has given it no id.
    identifier = original.opened.id or await original.file.digest()
    key = (caller.salt, identifier, original.how)
    outcome = "shared" if key in pod.measurements else "measured"
    if outcome == "shared":
        original.reservation.free_file(original.file)
    try:
        found = await pod.measurements.result(key, lambda: _start(pod, original))
    except MeasuringFailed as error:
        pod.metrics.audio_measurements.labels("failed").inc()
        return to_measured(results.nothing(str(error)))
    pod.metrics.audio_measurements.labels(outcome).inc()
    num_beats = len(found.beats.times_s) if found.beats else 0
    num_bytes = HELD_BYTES + BEAT_BYTES * num_beats
    # By each request: that which started the measurement may have ended, or hold no clip.
    clip_reuse.hold_decoded(pod, original.opened, how, found, num_bytes)
    return to_measured(found)


def _start(pod: Pod, original: OriginalClip) -> "asyncio.Task[ClipMeasurements]":
    """Measure a clip, whose file is freed at the end of that."""
    reservation = original.reservation.move(original.file)
    task = asyncio.create_task(_measured(pod, original))
    task.add_done_callback(lambda _: reservation.release())  # also of one that never ran
    return task


async def _measured(pod: Pod, original: OriginalClip) -> ClipMeasurements:
    started_s = time.monotonic()
    found = await pod.measurers.measure(original.file, original.limits)
    pod.metrics.audio_measure.observe(time.monotonic() - started_s)
    return found


def to_measured(found: ClipMeasurements) -> Measured:
    """Return measurements as they are in the response."""
    beats, key, loudness = found.beats, found.key, found.loudness
    reasons = dict(found.reasons)
    if results.TEMPO in reasons:
        reasons["beats_s"] = reasons["beat_strength"] = reasons[results.TEMPO]
    return Measured(
        tempo_bpm=beats and beats.tempo_bpm,
        beats_s=None if beats is None else list(beats.times_s),
        beat_strength=beats and beats.strength,
        key=key
        and MeasuredKey(
            tonic=key.key.tonic_name,
            mode=key.key.mode,
            name=key.key.name,
            correlation=round(key.correlation, 3),
            runner_up=key.runner_up.name,
            runner_up_correlation=round(key.runner_up_correlation, 3),
        ),
        loudness_lufs=loudness.integrated_lufs,
        loudness_range_lu=loudness.range_lu,
        true_peak_dbtp=loudness.true_peak_dbtp,
        reasons=reasons or None,
    )
