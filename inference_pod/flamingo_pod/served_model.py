"""The model that a pod serves: its checkpoint, engine, limits and card."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flamingo_common.audio import windows
from flamingo_common.errors import ModelNotFound
from flamingo_common.wire.responses import ModelCard
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine import kv
from flamingo_pod.engine.audio import ClipAudio
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.settings import Settings


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with a running engine."""

    checkpoint: checkpoint.Checkpoint
    engine: Engine
    card: ModelCard
    decode_limits: DecodeLimits
    caller: Caller = ANONYMOUS
    """The caller of the request that it is used for."""

    def response_fields(self, id_prefix: str) -> dict[str, Any]:
        """Return the fields that every response has: a new id, its time and the model."""
        return {
            "id": f"{id_prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": self.card.id,
        }

    def check_model(self, name: str | None) -> None:
        """Check that a request names this model, or none.

        Raises:
            ModelNotFound: it names another.
        """
        if name is not None and name != self.card.id:
            raise ModelNotFound(
                f"model {name!r} is not served here; the model is {self.card.id!r}", param="model"
            )


def checkpoint_source(
    settings: Settings, environ: Mapping[str, str]
) -> checkpoint.CheckpointSource:
    """Return the checkpoint to load, with `auto` resolved for this machine."""
    has_gpu = torch.cuda.is_available()
    device = settings.device if settings.device != "auto" else ("cuda" if has_gpu else "cpu")
    default_dtype = "float32" if device == "cpu" else "bfloat16"
    return checkpoint.CheckpointSource(
        id=settings.model,
        revision=settings.revision,
        dtype=default_dtype if settings.dtype == "auto" else settings.dtype,
        device=device,
        cache=build.cache_folder(environ),
    )


def start_engine(loaded: checkpoint.Checkpoint, settings: Settings) -> ServedModel:
    """Start an engine for the checkpoint; return the served model."""
    limits = loaded.limits
    max_audio_s = min(settings.max_audio_s or limits.max_audio_s, limits.max_audio_s)
    engine = Engine(loaded, _engine_options(loaded, settings))
    engine.start()
    card = ModelCard(
        id=settings.served_model_name or loaded.id,
        created=loaded.loaded_at_s,
        owned_by="flamingo-fleet" if loaded.random_weights else loaded.id.partition("/")[0],
        max_audio_seconds=max_audio_s,
        context_tokens=limits.context_tokens,
        embedding_dimensions=dict(limits.dims),
        random_weights=loaded.random_weights,
        commit=loaded.commit,
    )
    return ServedModel(loaded, engine, card, DecodeLimits(max_seconds=max_audio_s))


def _engine_options(loaded: checkpoint.Checkpoint, settings: Settings) -> EngineOptions:
    return EngineOptions(
        kv_cache_tokens=settings.kv_cache_tokens or kv.default_capacity_tokens(loaded.model),
        encoder_cache_bytes=int(settings.encoder_cache_gib * 2**30),
        model_impl=settings.model_impl,
        max_num_seqs=settings.max_num_seqs,
    )


async def warm_up(served: ServedModel) -> None:
    """Generate two tokens for one second of silence, to run every part of the engine once."""
    audio = ClipAudio.from_samples(np.zeros(windows.SAMPLE_RATE_HZ, np.float32))
    slots = [served.checkpoint.processor.audio_token_id] * audio.num_tokens
    async for _ in served.engine.generate(Prompt(slots, audio), SamplingParams(max_tokens=2)):
        pass
