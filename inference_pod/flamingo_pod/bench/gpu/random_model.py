"""A model of the published dimensions with random weights, made on the device."""

import os
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import MusicFlamingoConfig, MusicFlamingoForConditionalGeneration

from flamingo_pod.bench.gpu.physics import StepCosts
from flamingo_pod.model import checkpoint, fp8
from flamingo_pod.model.builtin import build
from flamingo_pod.model.checkpoint import DTYPES, Checkpoint, CheckpointSource, Quantization
from flamingo_pod.model.dimensions import PUBLISHED, ModelDimensions, dimensions_of

PUBLISHED_NAME = "published"
WEIGHT_STD = 0.02
ENCODER_HEAD_WIDTH = 64


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Which model to measure, and where."""

    name: str
    """`published`, or a built-in model."""
    device: str
    dtype: str
    quantization: Quantization | None = None


def load(source: ModelSource) -> Checkpoint:
    """Return the model with random weights, and the built-in models' processor."""
    name = "flamingo-tiny" if source.name == PUBLISHED_NAME else source.name
    cache = build.cache_folder(os.environ)
    if source.name != PUBLISHED_NAME:
        return checkpoint.load(
            CheckpointSource(name, None, source.dtype, source.device, cache, source.quantization)
        )
    small = checkpoint.load(CheckpointSource(name, None, source.dtype, "cpu", cache))
    return replace(small, id=PUBLISHED_NAME, model=_random(small.model.config, source))


def _random(config: MusicFlamingoConfig, source: ModelSource) -> Any:
    with torch.device(source.device):
        model = MusicFlamingoForConditionalGeneration._from_config(  # noqa: SLF001 - no public way
            with_dimensions(config, PUBLISHED), dtype=DTYPES[source.dtype]
        )
    if source.quantization:
        fp8.quantize_layers(model.model.language_model.layers, source.device, lambda _: None)
    return model.eval()


def with_dimensions(config: MusicFlamingoConfig, of: ModelDimensions) -> MusicFlamingoConfig:
    """Return the configuration with other dimensions."""
    fields = config.to_dict()
    fields["audio_config"] |= {
        "hidden_size": of.encoder_hidden,
        "num_hidden_layers": of.encoder_layers,
        "num_attention_heads": of.encoder_hidden // ENCODER_HEAD_WIDTH,
        "intermediate_size": of.encoder_intermediate,
    }
    fields["text_config"] |= {
        "vocab_size": of.vocabulary,
        "hidden_size": of.hidden,
        "intermediate_size": of.intermediate,
        "num_hidden_layers": of.num_layers,
        "num_attention_heads": of.num_heads,
        "num_key_value_heads": of.num_kv_heads,
        "layer_types": ["full_attention"] * of.num_layers,
        # transformers fills new modules with random values of this width.
        "initializer_range": WEIGHT_STD,
    }
    return MusicFlamingoConfig(**fields)


def costs_of(model: Any) -> StepCosts:
    """Return what the parts of a loaded model cost at least."""
    element_bytes = model.lm_head.weight.element_size()
    first = next(model.model.language_model.layers[0].mlp.children())
    layer_bytes = 1 if isinstance(first, fp8.Fp8Linear) else element_bytes
    return StepCosts(dimensions_of(model.config.to_dict()), element_bytes, layer_bytes)
