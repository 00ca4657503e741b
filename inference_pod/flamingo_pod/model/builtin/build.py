"""Build a built-in model in the cache folder (`FLAMINGO_CACHE`), once.

The weights are random 24-bit integers scaled by powers of two, which is exact: every machine gets
the same bits, whatever its vector unit.
"""

import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AudioFlamingo3EncoderConfig,
    GenerationConfig,
    MusicFlamingoConfig,
    MusicFlamingoForConditionalGeneration,
    MusicFlamingoProcessor,
    Qwen2Config,
    Qwen2Tokenizer,
    WhisperFeatureExtractor,
)

from flamingo_pod.model.builtin import tokenizer as builtin_tokenizer
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS, BuiltinDimensions

RECIPE = 1
"""Incremented when a name gets other weights, so that an old cache is not read."""
MAX_NEW_TOKENS = 64
GENERATABLE = frozenset({"<|im_end|>"})
"""The only control token that the model may generate."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the built-in models: `FLAMINGO_CACHE`, or the user's cache folder."""
    if chosen := environ.get("FLAMINGO_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/tmp")) / ".cache"  # noqa: S108
    return Path(base) / "flamingo"


def ensure_built(name: str, cache: Path) -> Path:
    """Return the folder of the built-in model `name`, building it if missing.

    Two processes may build it at once: each writes a folder of its own, the first rename wins
    and the other folder is removed.
    """
    folder = cache / f"{name}-{RECIPE}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
    try:
        write(BUILTIN_MODELS[name], scratch)
        scratch.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def write(dimensions: BuiltinDimensions, folder: Path) -> None:
    """Write model, processor and generation defaults as a checkpoint."""
    tokenizer = builtin_tokenizer.build()
    model = MusicFlamingoForConditionalGeneration(_config(dimensions, tokenizer)).eval()
    _fill(model, tokenizer)
    model.generation_config = GenerationConfig(
        max_new_tokens=MAX_NEW_TOKENS,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    _processor(tokenizer).save_pretrained(folder)
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 - mkdtemp made it private


def _config(dimensions: BuiltinDimensions, tokenizer: Qwen2Tokenizer) -> MusicFlamingoConfig:
    ids = dict(zip(builtin_tokenizer.CONTROL_TOKENS, range(6), strict=True))
    audio = AudioFlamingo3EncoderConfig(
        num_mel_bins=128,
        hidden_size=dimensions.encoder_hidden,
        num_hidden_layers=dimensions.encoder_layers,
        num_attention_heads=dimensions.encoder_heads,
        intermediate_size=dimensions.encoder_intermediate,
    )
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=dimensions.hidden,
        intermediate_size=dimensions.intermediate,
        num_hidden_layers=dimensions.layers,
        num_attention_heads=dimensions.heads,
        num_key_value_heads=dimensions.kv_heads,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=False,
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|im_end|>"],
        pad_token_id=ids["<|endoftext|>"],
        # As in the published checkpoint: callers of `generate` must override it.
        use_cache=False,
    )
    return MusicFlamingoConfig(
        audio_config=audio,
        text_config=text,
        audio_token_id=ids["<sound>"],
        audio_bos_token_id=ids["<|sound_bos|>"],
        audio_eos_token_id=ids["<|sound_eos|>"],
    )


def _processor(tokenizer: Qwen2Tokenizer) -> MusicFlamingoProcessor:
    template = (builtin_tokenizer.FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
    extractor = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    return MusicFlamingoProcessor(extractor, tokenizer, chat_template=template)


@torch.no_grad()
def _fill(model: MusicFlamingoForConditionalGeneration, tokenizer: Qwen2Tokenizer) -> None:
    for name, parameter in sorted(model.named_parameters()):
        parameter.copy_(torch.from_numpy(_random_weights(name, tuple(parameter.shape))))
    model.lm_head.weight[_suppressed_ids(tokenizer)] = 0.0


def _random_weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return exact float32 values: ones for norms, else uniform with a variance of 1/fan-in."""
    if "norm" in name and name.endswith("weight"):
        return np.ones(shape, np.float32)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    integers = rng.integers(-(2**23), 2**23, size=shape, dtype=np.int32)
    return integers.astype(np.float32) * np.float32(2.0 ** (_exponent(name, shape) - 23))


def _exponent(name: str, shape: tuple[int, ...]) -> int:
    """Return e such that values up to 2**e keep a layer's output about as large as its input."""
    if len(shape) == 1:
        return -4  # a bias
    if "embed" in name:
        return 0
    fan_in = int(np.prod(shape[1:]))
    gain = 2 if "lm_head" in name or "q_proj" in name or "k_proj" in name else 1
    return gain - int(np.log2(fan_in) // 2)


def _suppressed_ids(tokenizer: Qwen2Tokenizer) -> list[int]:
    """Return the ids whose logit is fixed at 0, so that greedy output is plain words.

    Control tokens would break the conversation; single bytes above ASCII would print as
    replacement characters.
    """
    ids = range(len(tokenizer))
    pieces = {number: tokenizer.convert_ids_to_tokens(number) for number in ids}
    controls = {n for n in ids if pieces[n] in builtin_tokenizer.CONTROL_TOKENS}
    single_bytes = {n for n in ids if len(pieces[n]) == 1 and not pieces[n].isascii()}
    generatable = {n for n in ids if pieces[n] in GENERATABLE}
    return sorted((controls | single_bytes) - generatable)
