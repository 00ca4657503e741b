"""Encoding at a window's own length against transformers' padded way, value for value."""

import numpy as np
import pytest
import torch
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AudioFlamingo3Config, AudioFlamingo3ForConditionalGeneration

from flamingo_common.audio import windows
from flamingo_pod.model.mel import LogMel
from flamingo_pod.model.window_encoder import encode, project, project_many

WINDOW = windows.WINDOW_SAMPLES


@pytest.fixture(scope="session")
def log_mel(processor):
    return LogMel(processor.feature_extractor, "cpu")


@pytest.fixture(scope="session")
def without_time(tiny):
    """An AudioFlamingo3 model: random weights, no rotary time embedding."""
    config = AudioFlamingo3Config(
        audio_config=tiny.model.config.audio_config, text_config=tiny.model.config.text_config
    )
    torch.manual_seed(0)
    return AudioFlamingo3ForConditionalGeneration(config).eval()


def sound(num_samples, seed=0):
    return np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32) * 0.1


def features_of(processor, samples):
    features = processor.feature_extractor(
        [samples], sampling_rate=16_000, return_attention_mask=True, return_tensors="pt"
    )
    return features["input_features"], features["attention_mask"]


def padded_states(model, processor, samples):
    """Return what transformers' encoder makes of a window padded to 30 s, without padding."""
    features, mask = features_of(processor, samples)
    with torch.inference_mode():
        states = model.model.audio_tower(features, input_features_mask=mask).last_hidden_state
    return states[0, : windows.num_tokens_of_window(len(samples))]


def with_transformers(checkpoint, samples):
    """Return what transformers' processor and model make of a whole clip, in one call each."""
    text = "<|im_start|>user\n<sound>What key?<|im_end|>\n<|im_start|>assistant\n"
    inputs = checkpoint.processor(text=[text], audio=[samples])
    with torch.inference_mode():
        return checkpoint.model.get_audio_features(
            inputs.input_features,
            inputs.input_features_mask,
            input_ids=inputs.input_ids,
            return_dict=True,
        ).pooler_output


@pytest.mark.parametrize("tail", [1, 160, 320])
def test_transformers_itself_fails_on_a_tail_without_a_token(tiny, tail):
    # When it no longer does, the rule of `flamingo_common.audio.windows.spans` can go.
    with pytest.raises(IndexError):
        with_transformers(tiny, sound(WINDOW + tail))


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("num_samples", [321, 480, 481, 640, 641, 800, 801, 479_521, 480_000])
def test_states_are_those_of_the_padded_encoder(tiny, log_mel, num_samples):
    samples = sound(num_samples)
    [states] = encode(tiny.model, log_mel([samples]))
    assert_close(states, padded_states(tiny.model, tiny.processor, samples))


@settings(max_examples=examples(15), deadline=None)
@given(num_samples=st.integers(321, WINDOW), seed=st.integers(0, 2**32 - 1))
def test_so_are_those_of_a_window_of_random_length(tiny, log_mel, num_samples, seed):
    samples = sound(num_samples, seed)
    [states] = encode(tiny.model, log_mel([samples]))
    assert_close(states, padded_states(tiny.model, tiny.processor, samples))


@pytest.mark.parametrize("max_batch_windows", [1, 2, 16])
def test_a_batch_equals_single_windows_in_order(tiny, log_mel, max_batch_windows):
    lengths = [48_000, 321, WINDOW, 48_000, 16_000, 47_900, WINDOW, 48_000]
    mels = log_mel([sound(length, seed) for seed, length in enumerate(lengths)])
    together = encode(tiny.model, mels, max_batch_windows)
    for mel, states in zip(mels, together, strict=True):
        assert_close(states, *encode(tiny.model, [mel]))


def test_no_windows_give_no_states_and_no_embeddings(tiny):
    assert encode(tiny.model, []) == []
    assert project_many(tiny.model, []) == []


def test_results_own_their_memory(tiny, log_mel):
    states = encode(tiny.model, log_mel([sound(16_000, seed) for seed in range(3)]))
    heard = project_many(tiny.model, [(each, 0) for each in states])
    for tensor in (*states, *heard):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


@pytest.fixture
def clip():
    """Three full windows and a rest."""
    return sound(3 * WINDOW + 100_000)


def test_projection_equals_that_of_transformers_bit_for_bit(tiny, clip):
    expected = with_transformers(tiny, clip)
    for index in range(3):
        window = clip[index * WINDOW : (index + 1) * WINDOW]
        states = padded_states(tiny.model, tiny.processor, window)
        heard = expected[index * 750 : (index + 1) * 750]
        assert torch.equal(project(tiny.model, states, index * 750), heard)


def test_a_clips_embeddings_equal_those_of_transformers(tiny, log_mel, clip):
    parts = [clip[start:stop] for start, stop in windows.spans(len(clip))]
    states = encode(tiny.model, log_mel(parts))
    heard = project_many(
        tiny.model, list(zip(states, range(0, len(states) * 750, 750), strict=True))
    )
    # The projector is given rows that differ by rounding, and rotates them by up to 120 s.
    assert (torch.cat(heard) - with_transformers(tiny, clip)).abs().max() < 1e-4


def test_projecting_many_equals_projecting_each(tiny, log_mel):
    states = encode(tiny.model, log_mel([sound(n) for n in (WINDOW, 50_000, 321)]))
    placed = list(zip(states, (5 * 750, 100, 39 * 750 + 3), strict=True))
    for (each, index), heard in zip(placed, project_many(tiny.model, placed), strict=True):
        assert_close(heard, project(tiny.model, each, index))


def test_a_window_later_in_the_clip_has_other_embeddings(tiny, log_mel):
    [states] = encode(tiny.model, log_mel([sound(WINDOW)]))
    first, third = (project(tiny.model, states, frame) for frame in (0, 1500))
    assert (first - third).abs().max() > 0.1


def test_a_model_without_time_embedding_equals_transformers(without_time, processor, log_mel):
    samples = sound(100_000)
    [states] = encode(without_time, log_mel([samples]))
    assert_close(states, padded_states(without_time, processor, samples))

    features, mask = features_of(processor, samples)
    with torch.inference_mode():
        output = without_time.get_audio_features(features, mask, return_dict=True)
    assert_close(project(without_time, states, 0), output.pooler_output)
    assert torch.equal(project(without_time, states, 0), project(without_time, states, 7))


def test_a_model_in_bfloat16_returns_bfloat16(tiny, log_mel):
    model = type(tiny.model).from_pretrained(tiny.model.name_or_path, dtype=torch.bfloat16).eval()
    [states] = encode(model, log_mel([sound(16_000)]))
    assert states.dtype == project(model, states, 1).dtype == torch.bfloat16


def test_a_window_of_3_s_is_a_tenth_of_the_rows_of_a_full_one(tiny, log_mel):
    num_rows = []
    hook = tiny.model.model.audio_tower.layers[0].self_attn_layer_norm.register_forward_pre_hook(
        lambda _, inputs: num_rows.append(inputs[0].shape[:-1].numel())
    )
    with hook:
        encode(tiny.model, log_mel([sound(3 * 16_000), sound(3 * 16_000, seed=1), sound(WINDOW)]))
    assert num_rows == [2 * 150, 1500]
