"""Load a checkpoint by built-in name, folder or hub id, and read its limits and widths.

The dtype of the weights is chosen while loading (`dtype=`), never by `.to(dtype)` on the whole
model: that would also cast the tables of the rotary time embedding, the cosines of its angles
would be off by up to 2, and the model would silently receive its windows out of order.
`trust_remote_code` is never passed: the classes are the transformers library's own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import (
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
    GenerationConfig,
    MusicFlamingoForConditionalGeneration,
    MusicFlamingoProcessor,
)
from transformers.utils import logging as transformers_logging

from flamingo_common.audio import windows
from flamingo_pod.model import fp8, placement, quantized_weights
from flamingo_pod.model.builtin import build
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
from flamingo_pod.model.gpu import find_gpu
from flamingo_pod.model.limits import ModelLimits
from flamingo_pod.weights import folder, hub
from flamingo_pod.weights.errors import ModelLoadFailed
from flamingo_pod.weights.progress import LoadingProgress

CLASSES = {
    "musicflamingo": (MusicFlamingoForConditionalGeneration, MusicFlamingoProcessor),
    "audioflamingo3": (AudioFlamingo3ForConditionalGeneration, AudioFlamingo3Processor),
}
Quantization = Literal["fp8"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model, its processor and its limits."""

    id: str
    model: Any
    processor: Any
    limits: ModelLimits
    random_weights: bool
    commit: str | None = None
    """On the Hugging Face hub; None for other sources."""


@dataclass(frozen=True, slots=True)
class CheckpointSource:
    """Which checkpoint to load, and in which dtype on which device."""

    id: str
    revision: str | None
    dtype: str
    device: str
    cache: Path
    """Folder of the built-in models."""
    quantization: Quantization | None = None
    """Quantize the language model's linear layers while loading; a checkpoint that is published in
    FP8 stays so in any case."""


def load(source: CheckpointSource, progress: LoadingProgress | None = None) -> Checkpoint:
    """Return the checkpoint, ready to run.

    Raises:
        ModelLoadFailed: the message explains why.
        UnsupportedDevice: the weights are in FP8, which the GPU cannot compute with.
    """
    progress = progress or LoadingProgress()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    path, commit = _resolve(source, progress)
    contents = folder.read_contents(path)
    model_class, processor_class = _classes(source, contents.model_type)
    if contents.is_quantized or source.quantization:
        _check_device(source)
    progress.begin("reading")
    try:
        processor = processor_class.from_pretrained(path, local_files_only=True)
        read = _read_quantized if contents.is_quantized else _read
        model = read(model_class, path, source, progress)
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"model {source.id!r}: {error}") from error
    _check(model, processor)
    return Checkpoint(
        id=source.id,
        model=model,
        processor=processor,
        limits=read_limits(model, processor),
        random_weights=source.id in BUILTIN_MODELS,
        commit=commit,
    )


def _resolve(source: CheckpointSource, progress: LoadingProgress) -> tuple[Path, str | None]:
    """Return the checkpoint's folder, and its commit if it is from the hub."""
    if source.id in BUILTIN_MODELS:
        return build.ensure_built(source.id, source.cache), None
    if (local := Path(source.id)).is_dir():
        return local, None
    try:
        validate_repo_id(source.id)
    except HFValidationError:
        builtin = ", ".join(BUILTIN_MODELS)
        raise ModelLoadFailed(
            f"model {source.id!r} is not a built-in model ({builtin}), a local folder,"
            " or a valid hub id"
        ) from None
    snapshot = hub.fetch(source.id, source.revision, progress)
    return snapshot.folder, snapshot.commit


def _check_device(source: CheckpointSource) -> None:
    """Check that the device can compute with FP8 weights.

    Raises:
        UnsupportedDevice: it cannot.
    """
    gpu = find_gpu() if source.device == "cuda" else None
    if reason := placement.fp8_unsupported_reason(gpu):
        raise placement.UnsupportedDevice(reason)


def _read(model_class: Any, path: Path, source: CheckpointSource, progress: LoadingProgress) -> Any:
    """Return the model on its device."""
    # The weights stay mapped from their file, and shared by the pods of a machine, until
    # they are cast or copied to a device: no second copy in this process's memory.
    model = model_class.from_pretrained(
        path, dtype=DTYPES[source.dtype], local_files_only=True, use_safetensors=True
    )
    progress.set_total(_num_bytes(model))
    if source.quantization:
        fp8.quantize_layers(model.model.language_model.layers, source.device, progress.add)
    return _move(model.eval(), source.device, progress)


def _read_quantized(
    model_class: Any, path: Path, source: CheckpointSource, progress: LoadingProgress
) -> Any:
    """Return the model of a checkpoint that was published in FP8, on its device."""
    dtype = DTYPES[source.dtype]
    config = model_class.config_class.from_pretrained(path, local_files_only=True)
    vars(config).pop("quantization_config", None)  # transformers would ask for its package
    weights = quantized_weights.read(path, dtype)
    model, info = model_class.from_pretrained(
        None, config=config, state_dict=dict(weights.state), dtype=dtype, output_loading_info=True
    )
    if missing := sorted(info["missing_keys"]):
        raise ModelLoadFailed(
            f"model {source.id!r}: {len(missing)} weights are missing, such as {missing[0]}"
        )
    if (path / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(path, local_files_only=True)
    progress.set_total(_num_bytes(model))
    layers = model.model.language_model.layers
    quantized_weights.install(layers, weights.kept, source.device, progress.add)
    return _move(model.eval(), source.device, progress)


def _move(model: Any, device: str, progress: LoadingProgress) -> Any:
    """Move the model to `device` part by part, reporting the progress of what is not in FP8."""
    for part in model.modules():
        if not any(True for _ in part.children()):
            part.to(device)
            progress.add(0 if isinstance(part, fp8.Fp8Linear) else _num_bytes(part))
    return model.to(device)


def _num_bytes(module: Any) -> int:
    return sum(each.numel() * each.element_size() for each in module.parameters())


def read_limits(model: Any, processor: Any) -> ModelLimits:
    """Return the limits and defaults in the checkpoint's own configuration."""
    text, audio = model.config.text_config, model.config.audio_config
    defaults: GenerationConfig = model.generation_config
    eos = defaults.eos_token_id
    samples = bool(defaults.do_sample)
    return ModelLimits(
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


def _classes(source: CheckpointSource, model_type: str) -> tuple[Any, Any]:
    if model_type not in CLASSES:
        raise ModelLoadFailed(
            f"model {source.id!r} has the unsupported type {model_type!r};"
            f" supported: {', '.join(CLASSES)}"
        )
    return CLASSES[model_type]


def _check(model: Any, processor: Any) -> None:
    """Reject a checkpoint whose feature extractor differs from `flamingo_common.audio.windows`."""
    extractor = processor.feature_extractor
    found = (extractor.sampling_rate, extractor.chunk_length, extractor.hop_length)
    expected = (windows.SAMPLE_RATE_HZ, windows.WINDOW_S, windows.HOP_SAMPLES)
    if found != expected:
        raise ModelLoadFailed(f"sampling rate, window and hop are {found}; supported: {expected}")
    rotary = getattr(model.model, "pos_emb", None)
    if rotary is not None and rotary.inv_freq.dtype != torch.float32:
        raise ModelLoadFailed(
            "the rotary time embedding is not float32; the weights must not be cast"
        )
