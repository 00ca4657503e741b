"""The bytes of weights and of KV, by a checkpoint's dimensions, against real modules."""

import torch
from transformers import (
    AudioFlamingo3EncoderConfig,
    MusicFlamingoConfig,
    MusicFlamingoForConditionalGeneration,
    Qwen2Config,
)

from flamingo_pod.model.dimensions import PUBLISHED, dimensions_of


def published_config():
    """Return the published checkpoint's configuration, as far as it differs from the defaults."""
    text = Qwen2Config(
        vocab_size=151_672,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=32_768,
        tie_word_embeddings=False,
    )
    return MusicFlamingoConfig(audio_config=AudioFlamingo3EncoderConfig(), text_config=text)


def parameter_bytes(model):
    return sum(each.numel() * each.element_size() for each in model.parameters())


def test_the_weights_of_the_built_in_model_have_as_many_bytes(tiny):
    of = dimensions_of(tiny.model.config.to_dict())
    assert of.weight_bytes(4) == parameter_bytes(tiny.model)


def test_the_weights_of_the_published_model_have_as_many_bytes():
    config = published_config()
    with torch.device("meta"):
        model = MusicFlamingoForConditionalGeneration(config)
    of = dimensions_of(config.to_dict())
    assert of == PUBLISHED
    assert of.weight_bytes(4) == parameter_bytes(model)


def test_fp8_layers_take_a_byte_for_each_element_and_a_scale_for_each_output():
    config = published_config()
    with torch.device("meta"):
        model = MusicFlamingoForConditionalGeneration(config)
    in_layers = [
        module.weight
        for module in model.model.language_model.layers.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    saved = sum(weight.numel() for weight in in_layers)
    scales = 4 * sum(weight.shape[0] for weight in in_layers)
    expected = PUBLISHED.weight_bytes(2) - saved + scales
    assert PUBLISHED.weight_bytes(2, layer_element_bytes=1) == expected


def test_a_token_of_the_published_model_has_56_kib_of_kv():
    assert PUBLISHED.kv_token_bytes(2) == 56 * 2**10
