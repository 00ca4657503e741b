"""The dimensions of a checkpoint, and the bytes of its weights and of one token's KV.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENCODER_POSITIONS = 1500
"""Of a window of 30 s, before the encoder's pooling halves them."""


@dataclass(frozen=True, slots=True)
class ModelDimensions:
    """Widths and numbers of layers of the language model and of the audio encoder."""

    hidden: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    intermediate: int
    vocabulary: int
    context_tokens: int
    encoder_hidden: int
    encoder_layers: int
    encoder_intermediate: int
    num_mels: int

    def kv_token_bytes(self, element_bytes: int) -> int:
        """Return the bytes of one token's keys and values in all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_width * element_bytes

    def weight_bytes(self, element_bytes: int, *, layer_element_bytes: int | None = None) -> int:
        """Return the bytes of all weights.

        `layer_element_bytes` is that of the matrices in the language model's layers, if it
        differs: 1 for FP8, whose scales, one float32 per output, are counted.
        """
        in_layers = self.num_layers * _layer_matrix_elements(self)
        others = _num_parameters(self) - in_layers
        if layer_element_bytes is None:
            return (in_layers + others) * element_bytes
        scales = self.num_layers * _layer_outputs(self) * 4
        return in_layers * layer_element_bytes + others * element_bytes + scales


PUBLISHED = ModelDimensions(
    hidden=3584,
    num_layers=28,
    num_heads=28,
    num_kv_heads=4,
    head_width=128,
    intermediate=18944,
    vocabulary=151_672,
    context_tokens=32_768,
    encoder_hidden=1280,
    encoder_layers=32,
    encoder_intermediate=5120,
    num_mels=128,
)
"""nvidia/music-flamingo-2601-hf: Qwen2.5-7B behind the encoder of Whisper large-v3."""


def dimensions_of(config: Mapping[str, Any]) -> ModelDimensions:
    """Return the dimensions in a configuration, as transformers' `to_dict` gives it."""
    text, audio = config["text_config"], config["audio_config"]
    num_heads = int(text["num_attention_heads"])
    return ModelDimensions(
        hidden=int(text["hidden_size"]),
        num_layers=int(text["num_hidden_layers"]),
        num_heads=num_heads,
        num_kv_heads=int(text["num_key_value_heads"]),
        head_width=int(text.get("head_dim") or text["hidden_size"] // num_heads),
        intermediate=int(text["intermediate_size"]),
        vocabulary=int(text["vocab_size"]),
        context_tokens=int(text["max_position_embeddings"]),
        encoder_hidden=int(audio["hidden_size"]),
        encoder_layers=int(audio["num_hidden_layers"]),
        encoder_intermediate=int(audio["intermediate_size"]),
        num_mels=int(audio["num_mel_bins"]),
    )


def _num_parameters(of: ModelDimensions) -> int:
    tables = 2 * of.vocabulary * of.hidden  # input embeddings and output projection
    biases_and_norms = _qkv_outputs(of) + 2 * of.hidden
    language_model = of.num_layers * (_layer_matrix_elements(of) + biases_and_norms) + of.hidden
    projector = (of.encoder_hidden + of.hidden + 2) * of.hidden
    return tables + language_model + projector + _encoder_parameters(of)


def _qkv_outputs(of: ModelDimensions) -> int:
    return (of.num_heads + 2 * of.num_kv_heads) * of.head_width


def _layer_matrix_elements(of: ModelDimensions) -> int:
    attention = _qkv_outputs(of) + of.num_heads * of.head_width
    return (attention + 3 * of.intermediate) * of.hidden


def _layer_outputs(of: ModelDimensions) -> int:
    return _qkv_outputs(of) + 2 * of.hidden + 2 * of.intermediate


def _encoder_parameters(of: ModelDimensions) -> int:
    width, inner = of.encoder_hidden, of.encoder_intermediate
    convolutions = 3 * width * (of.num_mels + width) + 2 * width
    attention = 4 * width * width + 3 * width  # the keys have no bias
    feed_forward = 2 * width * inner + inner + width
    layer = attention + feed_forward + 4 * width
    return convolutions + ENCODER_POSITIONS * width + of.encoder_layers * layer + 2 * width
