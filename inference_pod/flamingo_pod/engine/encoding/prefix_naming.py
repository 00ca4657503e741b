"""The prefix of a prompt with a clip, and the key under which it is shared.

Equal keys mean equal tokens before the audio, equal audio and one salt.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.scheduling.beginnings import encode
from flamingo_pod.engine.scheduling.sequence import Prefix


def prefix_of(
    token_ids: NDArray[np.int32], audio: ClipAudio | None, *, salt: bytes, slot_id: int
) -> Prefix | None:
    """Return a prompt's prefix, up to the last `slot_id` of its clip; None without a clip.

    Raises:
        ValueError: the prompt has no slots for its clip, or nothing behind them.
    """
    if audio is None or not audio.windows:
        return None
    is_slot = token_ids == slot_id
    if not is_slot.any():
        raise ValueError(f"a prompt with audio needs slots for it, of the token {slot_id}")
    start = int(is_slot.argmax())
    if start + audio.num_tokens >= len(token_ids):
        # Where the prefix is cached, nothing would be left to compute, and to sample from.
        raise ValueError("a token has to follow the audio of a prompt")
    digest = hashlib.sha256()
    place = audio.first_frame.to_bytes(8, "little")  # the embeddings depend on the time
    for part in (salt, encode(token_ids[:start]), place):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    for window in audio.windows:
        digest.update(window.key)
    return Prefix(
        key=digest.digest(),
        num_tokens=start + audio.num_tokens,
        audio_start=start,
        window_tokens=[window.num_tokens for window in audio.windows],
    )
