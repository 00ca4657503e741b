"""The model that a pod serves: its checkpoint, engine, limits and card."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flamingo_common.errors import ModelNotFound
from flamingo_common.service import logs
from flamingo_common.wire.responses import CREATED_UNKNOWN_S, ModelCard
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.device import device_memory
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.startup import memory_profile
from flamingo_pod.engine.startup.batch_size import default_max_num_seqs
from flamingo_pod.engine.structured_output.call_tokens import CallTokens
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens
from flamingo_pod.model import checkpoint, placement
from flamingo_pod.model.builtin import build
from flamingo_pod.model.gpu import find_gpu
from flamingo_pod.settings import Settings
from flamingo_pod.text import call_format, reasoning_format
from flamingo_pod.text.reasoning_format import Vocabulary
from flamingo_pod.weights.errors import ModelLoadFailed


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with a running engine."""

    checkpoint: checkpoint.Checkpoint
    engine: Engine
    card: ModelCard
    decode_limits: DecodeLimits
    reasoning: ReasoningTokens | None = None
    """The tables of a model that thinks before it answers."""
    call_tokens: CallTokens | None = None
    """The tables of calls, if the model may decide whether to make any."""
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
        """Check that a request names this model, or none (which an empty name is, as in vLLM).

        Raises:
            ModelNotFound: it names another.
        """
        if name and name != self.card.id:
            raise ModelNotFound(
                f"model {name!r} is not served here; the model is {self.card.id!r}", param="model"
            )


def checkpoint_source(
    settings: Settings, environ: Mapping[str, str]
) -> checkpoint.CheckpointSource:
    """Return the checkpoint to load, with `auto` resolved for this machine.

    Raises:
        UnsupportedDevice: the machine has no GPU that can run it in this data type.
    """
    gpu = find_gpu()
    chosen = placement.choose_placement(settings.device, settings.dtype, gpu)
    if reason := placement.unsupported_reason(chosen, gpu):
        raise placement.UnsupportedDevice(reason)
    return checkpoint.CheckpointSource(
        id=settings.model,
        revision=settings.revision,
        dtype=chosen.dtype,
        device=chosen.device,
        cache=build.cache_folder(environ),
        quantization=settings.quantization,
    )


def start_engine(loaded: checkpoint.Checkpoint, settings: Settings) -> ServedModel:
    """Start an engine for the checkpoint; return the served model.

    Raises:
        InsufficientMemory: the model does not fit on the device.
        ModelLoadFailed: it is to think, or to decide on calls, and its tokenizer cannot write the
            marks.
    """
    limits, reasoning = loaded.limits, _reasoning(loaded, settings)
    calls = _call_tokens(loaded, settings)
    max_audio_s = min(settings.max_audio_s or limits.max_audio_s, limits.max_audio_s)
    engine = Engine(loaded, _sized_options(loaded, settings))
    engine.start()
    card = ModelCard(
        id=settings.served_model_name or loaded.id,
        created=CREATED_UNKNOWN_S,
        owned_by="flamingo-fleet" if loaded.random_weights else loaded.id.partition("/")[0],
        max_audio_seconds=max_audio_s,
        context_tokens=limits.context_tokens,
        max_model_len=limits.context_tokens,
        embedding_dimensions=dict(limits.dims),
        random_weights=loaded.random_weights,
        commit=loaded.commit,
        reasoning=reasoning is not None,
    )
    decode_limits = DecodeLimits(max_seconds=max_audio_s)
    return ServedModel(loaded, engine, card, decode_limits, reasoning, calls)


def _reasoning(loaded: checkpoint.Checkpoint, settings: Settings) -> ReasoningTokens | None:
    try:
        thinks, tokens = reasoning_format.found(
            loaded.processor, loaded.id, settings.reasoning_parser, _vocabulary(loaded)
        )
    except ValueError as error:
        raise ModelLoadFailed(
            f"model {loaded.id!r}: --reasoning-parser think is not possible, since {error}"
        ) from None
    logs.get().info("model.reasoning", thinks=thinks.answer, reason=thinks.reason)
    return tokens


def _call_tokens(loaded: checkpoint.Checkpoint, settings: Settings) -> CallTokens | None:
    if not settings.enable_auto_tool_choice:
        return None
    try:
        return call_format.call_tokens(loaded.processor, _vocabulary(loaded))
    except ValueError as error:
        raise ModelLoadFailed(
            f"model {loaded.id!r}: --enable-auto-tool-choice is not possible, since {error}"
        ) from None


def _vocabulary(loaded: checkpoint.Checkpoint) -> Vocabulary:
    return Vocabulary(loaded.model.config.text_config.vocab_size, loaded.limits.eos_token_ids)


def _sized_options(loaded: checkpoint.Checkpoint, settings: Settings) -> EngineOptions:
    memory = device_memory.of_device(loaded.model.device)
    gpu_bytes = None if memory is None else memory.usable_bytes()
    is_gpu = loaded.model.device.type == "cuda"
    options = EngineOptions(
        kv_cache_tokens=settings.kv_cache_tokens or 0,
        encoder_cache_bytes=int(settings.encoder_cache_gib * 2**30),
        model_impl=settings.model_impl,
        max_num_seqs=settings.max_num_seqs or default_max_num_seqs(gpu_bytes),
        async_scheduling=is_gpu if settings.async_scheduling is None else settings.async_scheduling,
    )
    sized = memory_profile.size_memory(loaded, options, memory)
    if sized.needs is not None:
        logs.get().info("engine.memory_measured", **asdict(sized.needs))
    logs.get().info(
        "engine.memory_planned",
        kv_cache_tokens=sized.options.kv_cache_tokens,
        are_caches_on_host=sized.options.are_caches_on_host,
    )
    return sized.options
