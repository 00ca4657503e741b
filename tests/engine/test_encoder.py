"""The encoder path against transformers' own, value for value."""

import numpy as np
import pytest
import torch

from flamingo.audio import windows
from flamingo_pod.model import encoder

WINDOW = windows.WINDOW_SAMPLES


def sound(num_samples, seed=0):
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


def with_transformers(checkpoint, samples):
    """Return what transformers' processor and model make of a clip, in one call each."""
    text = "<|im_start|>user\n<sound>What key?<|im_end|>\n<|im_start|>assistant\n"
    inputs = checkpoint.processor(text=[text], audio=[samples])
    with torch.inference_mode():
        return checkpoint.model.get_audio_features(
            inputs.input_features,
            inputs.input_features_mask,
            input_ids=inputs.input_ids,
            return_dict=True,
        )


@pytest.mark.parametrize("seconds", [0.5, 10, 30, 45.5, 95])
def test_states_and_projection_equal_those_of_transformers(tiny, seconds):
    samples = sound(int(seconds * windows.SAMPLE_RATE_HZ))
    expected = with_transformers(tiny, samples)
    audio = encoder.encode(tiny.model, tiny.processor, samples)
    assert torch.equal(audio.states, expected.last_hidden_state)
    assert torch.equal(encoder.project(tiny.model, audio), expected.pooler_output)
    assert audio.total_tokens == windows.num_tokens(len(samples)) == len(expected.pooler_output)


@pytest.mark.parametrize("tail", [1, 160, 320])
def test_a_tail_without_a_token_changes_nothing(tiny, tail):
    samples = sound(WINDOW + tail)
    whole = encoder.encode(tiny.model, tiny.processor, samples)
    without = encoder.encode(tiny.model, tiny.processor, samples[:WINDOW])
    assert torch.equal(whole.states, without.states)
    with pytest.raises(
        IndexError
    ):  # what transformers does; when it no longer does, drop `spans`' rule
        with_transformers(tiny, samples)


def test_the_same_window_later_in_the_clip_is_heard_differently(tiny):
    once = sound(WINDOW)
    audio = encoder.encode(tiny.model, tiny.processor, np.tile(once, 3))
    assert torch.equal(audio.states[0], audio.states[2]), "the encoder itself knows no time"
    heard = encoder.project(tiny.model, audio)
    first, third = heard[:750], heard[1500:]
    assert (first - third).abs().max() > 0.1


def test_a_window_is_encoded_alike_alone_and_among_others(tiny):
    samples = sound(2 * WINDOW + WINDOW // 3)
    together = encoder.encode(tiny.model, tiny.processor, samples)
    alone = encoder.encode(tiny.model, tiny.processor, samples[WINDOW : 2 * WINDOW])
    assert (together.states[1] - alone.states[0]).abs().max() < 1e-5


def test_padding_is_left_out(tiny):
    audio = encoder.encode(tiny.model, tiny.processor, sound(16_000))
    assert audio.states.shape[1] == 750
    assert audio.valid(audio.states).shape == (25, 64)
