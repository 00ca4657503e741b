"""Outcomes of a batch, as a fleet would have them."""

import numpy as np

from flamingo.batch.outcomes import ItemError, ItemResult, Outcome

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def embedding(key, num_rows=1):
    """Return an embedding that only this key has."""
    seed = sum(key.encode("utf-8", "surrogatepass"))
    return (np.arange(num_rows * 4, dtype=np.float32).reshape(num_rows, 4) + seed) / 7


def done(key, *, num_frames=None, **columns):
    """Return the outcome of an analysis; pooled unless it has frames."""
    times = None if num_frames is None else np.arange(num_frames) * 0.04
    result = ItemResult(
        caption=f"caption of {key}",
        embedding=embedding(key, num_frames or 1),
        frame_timestamps=times,
        finish_reason="stop",
        model="fake",
        usage=USAGE,
        audio_s=1.5,
    )
    return Outcome(key, key, columns, result, num_attempts=1)


def captioned(key, **columns):
    """Return the outcome of a caption."""
    result = ItemResult(caption=f"caption of {key}", finish_reason="stop", model="fake", audio_s=2)
    return Outcome(key, key, columns, result, num_attempts=1)


def answered(key, answer):
    """Return the outcome of a question."""
    result = ItemResult(answer=answer, finish_reason="stop", model="fake")
    return Outcome(key, key, {}, result, num_attempts=1)


def failed(key, **columns):
    """Return the outcome of an item whose clip is not valid."""
    error = ItemError("invalid_audio", f"{key} is empty", can_retry=False, request_id="req-1")
    return Outcome(key, key, columns, error=error, num_attempts=1)


def recorded_keys(output):
    """Return the keys of what an output has recorded; what a killed run left is repaired."""
    return [item.key for item in output.recorded_items()]
