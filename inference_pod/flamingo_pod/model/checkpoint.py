"""Load a checkpoint: built-in name, local folder, or hub id with a revision.

The weights' type is chosen while loading (`dtype=`), never by `.to(dtype)` on
the whole model: that would also cast the tables of the rotary time embedding, the
cosine of its angles would be off by up to 2, and the model would hear its windows
out of order without a word. `trust_remote_code` is never passed: the classes are
transformers' own.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError
from transformers import (
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
    GenerationConfig,
    MusicFlamingoForConditionalGeneration,
    MusicFlamingoProcessor,
    PreTrainedConfig,
)
from transformers.utils import logging as transformers_logging

from flamingo.audio import windows
from flamingo_pod.model.builtin import build
from flamingo_pod.model.builtin.sizes import SIZES
from flamingo_pod.model.limits import Limits

CLASSES = {
    "musicflamingo": (MusicFlamingoForConditionalGeneration, MusicFlamingoProcessor),
    "audioflamingo3": (AudioFlamingo3ForConditionalGeneration, AudioFlamingo3Processor),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class CannotLoad(Exception):
    """The checkpoint is not there, or is none that this server runs; says what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model with all that belongs to it."""

    id: str
    model: Any
    processor: Any
    limits: Limits
    random_weights: bool
    loaded_at_s: int
    """Unix time, for `/v1/models`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which checkpoint, and how to hold it."""

    id: str
    revision: str | None
    dtype: str
    device: str
    cache: Path
    """Where built-in models are built."""


def load(source: Source) -> Checkpoint:
    """Return the checkpoint, ready to run.

    Raises:
        CannotLoad: with a sentence for the person who named it.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    is_builtin = source.id in SIZES
    place = str(build.ensure(source.id, source.cache)) if is_builtin else source.id
    model_class, processor_class = _classes(source, place)
    try:
        processor = processor_class.from_pretrained(place, revision=source.revision)
        model = model_class.from_pretrained(
            place, revision=source.revision, dtype=DTYPES[source.dtype]
        )
        model = model.eval().to(source.device)
    except (OSError, ValueError) as error:
        raise CannotLoad(f"model {source.id!r}: {error}") from error
    _check(model, processor)
    return Checkpoint(
        id=source.id,
        model=model,
        processor=processor,
        limits=limits_of(model, processor),
        random_weights=is_builtin,
        loaded_at_s=int(time.time()),
    )


def limits_of(model: Any, processor: Any) -> Limits:
    """Return the limits that the checkpoint states of itself."""
    text, audio = model.config.text_config, model.config.audio_config
    defaults: GenerationConfig = model.generation_config
    eos = defaults.eos_token_id
    samples = bool(defaults.do_sample)
    return Limits(
        max_audio_s=float(processor.max_audio_len),
        context_tokens=min(
            int(text.max_position_embeddings), int(processor.tokenizer.model_max_length)
        ),
        default_max_tokens=int(defaults.max_new_tokens or 2048),
        default_temperature=float(defaults.temperature or 1.0) if samples else 0.0,
        default_top_p=defaults.top_p if samples else None,
        default_top_k=defaults.top_k if samples else None,
        default_repetition_penalty=float(defaults.repetition_penalty or 1.0),
        dims={"encoder": int(audio.hidden_size), "projector": int(text.hidden_size)},
        eos_token_ids=frozenset([eos] if isinstance(eos, int) else eos or ()),
    )


def _classes(source: Source, place: str) -> tuple[Any, Any]:
    try:
        config, _ = PreTrainedConfig.get_config_dict(place, revision=source.revision)
    except (OSError, HFValidationError) as error:
        builtin = ", ".join(SIZES)
        raise CannotLoad(
            f"model {source.id!r} is neither built in ({builtin}) nor a folder here, and the hub "
            f"did not give it: {error}"
        ) from error
    if (kind := config.get("model_type")) not in CLASSES:
        raise CannotLoad(f"model {source.id!r} is of type {kind!r}; served are {list(CLASSES)}")
    return CLASSES[kind]


def _check(model: Any, processor: Any) -> None:
    """Refuse a checkpoint whose ear is not the one `flamingo.audio.windows` counts for."""
    extractor = processor.feature_extractor
    heard = (extractor.sampling_rate, extractor.chunk_length, extractor.hop_length)
    counted = (windows.SAMPLE_RATE_HZ, windows.WINDOW_S, windows.HOP_SAMPLES)
    if heard != counted:
        raise CannotLoad(f"rate, window and hop are {heard}; this server counts for {counted}")
    rotary = getattr(model.model, "pos_emb", None)
    if rotary is not None and rotary.inv_freq.dtype != torch.float32:
        raise CannotLoad("the rotary time embedding is not float32: the weights were cast")
