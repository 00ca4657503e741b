"""Parts of a clip in the engine: on the clip's clock, and with its windows where they are full."""

import numpy as np
import pytest
import torch

from flamingo_common.audio import windows
from flamingo_pod.engine.encoding import prefix_naming
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.model import window_encoder
from flamingo_pod.model.mel import LogMel

RATE_HZ = windows.SAMPLE_RATE_HZ
CLIP = np.random.default_rng(1).uniform(-0.5, 0.5, 100 * RATE_HZ).astype(np.float32)


def part(start_s, end_s=None):
    start, stop = windows.frame_samples(start_s, end_s)
    return ClipAudio.from_samples(CLIP[start:stop], b"", start // windows.SAMPLES_PER_FRAME)


def described(audio):
    return [(each.key, each.first_frame, each.num_tokens) for each in audio.windows]


def test_a_part_that_is_the_whole_clip_is_the_clip():
    assert described(part(0.0)) == described(part(0.0, 100.0)) == described(part(0.0, 500.0))


def test_full_windows_of_a_part_are_those_of_the_clip_and_its_ends_are_cut():
    whole, inside = described(part(0.0)), described(part(25.0, 95.0))
    assert inside[1:3] == whole[1:3]
    assert [(first, num) for _, first, num in inside] == [
        (625, 125), (750, 750), (1500, 750), (2250, 125),
    ]  # fmt: skip
    assert sum(num for _, _, num in inside) == 70 * 25


@pytest.mark.parametrize(("start_s", "end_s"), [(0.03, 0.05), (29.96, 30.04), (59.99, 60.0)])
def test_a_part_has_all_frames_that_it_touches(start_s, end_s):
    audio = part(start_s, end_s)
    assert audio.first_frame == int(start_s / 0.04 + 1e-6)
    assert audio.num_tokens * 0.04 >= end_s - audio.first_frame * 0.04 - 1e-6


def test_the_time_of_a_part_is_that_of_the_clip(tiny):
    log_mel = LogMel(tiny.processor.feature_extractor, "cpu")
    [states] = window_encoder.encode(tiny.model, log_mel([CLIP[: windows.WINDOW_SAMPLES]]))
    whole = window_encoder.project(tiny.model, states, 1500)
    for offset in (0, 1, 125, 749):
        rest = window_encoder.project(tiny.model, states[offset:], 1500 + offset)
        torch.testing.assert_close(rest, whole[offset:], rtol=0, atol=1e-5)


def test_equal_audio_at_another_time_shares_no_keys_and_values():
    prompt, silence = np.array([5, 9, 9, 7], np.int32), np.zeros(1280, np.float32)
    keys = {
        prefix_naming.prefix_of(
            prompt, ClipAudio.from_samples(silence, b"", at), salt=b"", slot_id=9
        ).key
        for at in (0, 750, 751)
    }
    assert len(keys) == 3
