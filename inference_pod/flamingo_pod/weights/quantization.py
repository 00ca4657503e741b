"""Which quantized checkpoints can be loaded, by their configuration and the names of tensors.

Pure. Supported is what stores a weight as `float8_e4m3fn` with a float32 factor for each output,
for the whole weight, or for each block of it, and the activations of which can be quantized per
token. All layouts that do so agree on the rest: the tensor `X.weight` comes with `X.weight_scale`
or `X.weight_scale_inv`, and the value is the product of both.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from flamingo_pod.weights.errors import ModelLoadFailed

FP8_DTYPE = "F8_E4M3"
"""safetensors' name of float8_e4m3fn."""
SCALE_SUFFIXES = ("_scale", "_scale_inv")
UNUSED_SUFFIXES = (
    ".activation_scale",
    ".activation_scale_ub",
    ".input_scale",
    ".input_scale_ub",
    ".k_scale",
    ".output_scale",
    ".v_scale",
)
"""Static scales of activations and of the KV cache: activations are quantized by their own values,
and the KV cache is not quantized."""
DEFAULT_BLOCK = (128, 128)
ORIGINAL = "serve the checkpoint that it was made from, with or without --quantization fp8"
_DECODER_WEIGHT = re.compile(
    r".*language_model\.(?:model\.)?layers\.(\d+)\.(\w+\.\w+_proj)\.weight"
)


def check_config(config: Mapping[str, Any]) -> None:
    """Check that a checkpoint's config.json names a quantization that can be loaded, or none.

    Raises:
        ModelLoadFailed: it names another; the message says which ones are supported.
    """
    found = _section(config)
    if found is not None and (faults := [*_faults(found)]):
        raise ModelLoadFailed(
            f"config.json says that the weights are quantized {faults[0]}; supported are FP8"
            " weights (float8_e4m3fn) of compressed-tensors, fbgemm_fp8, fp8 and modelopt:"
            f" {ORIGINAL}"
        )


def block_shape(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return the rows and columns of the blocks that have a scale each, where scales are so."""
    found = _section(config) or {}
    shapes = [found.get("weight_block_size")]
    shapes += [_weights(group).get("block_structure") for group in _groups(found)]
    rows, columns = next((shape for shape in shapes if shape), DEFAULT_BLOCK)
    return int(rows), int(columns)


def scale_name(weight_name: str, names: Collection[str]) -> str:
    """Return the name of the scale of an FP8 weight.

    Raises:
        ModelLoadFailed: there is none.
    """
    for suffix in SCALE_SUFFIXES:
        if weight_name + suffix in names:
            return weight_name + suffix
    raise ModelLoadFailed(
        f"the FP8 weight {weight_name} has no scale: {weight_name}{SCALE_SUFFIXES[0]} or"
        f" {weight_name}{SCALE_SUFFIXES[1]} must be beside it; {ORIGINAL}"
    )


def scaled_names(names: Collection[str]) -> set[str]:
    """Return the names of the weights that have a scale."""
    return {
        name.removesuffix(suffix)
        for name in names
        for suffix in SCALE_SUFFIXES
        if name.endswith(f".weight{suffix}")
    }


def is_scale(name: str) -> bool:
    """Return whether a tensor is a scale and not a parameter of the model."""
    weight_scales = tuple(f".weight{suffix}" for suffix in SCALE_SUFFIXES)
    return name.endswith((*weight_scales, *UNUSED_SUFFIXES))


def decoder_projection(name: str) -> tuple[int, str] | None:
    """Return the layer and the projection that a weight of the language model belongs to.

    Such as `(3, "mlp.up_proj")`; None for other tensors.
    """
    match = _DECODER_WEIGHT.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


def _section(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the description of the quantization; older compressed-tensors had their own name."""
    found = config.get("quantization_config") or config.get("compression_config")
    return found if isinstance(found, Mapping) else None


def _faults(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not supported, as the end of a sentence."""
    method = str(found.get("quant_method") or "").lower().replace("_", "-")
    match method:
        case "compressed-tensors":
            yield from _compressed_faults(found)
        case "modelopt":
            algorithm = str(found.get("quant_algo") or found.get("quantization")).upper()
            if "FP8" not in algorithm or "NVFP8" in algorithm or "MXFP8" in algorithm:
                yield f"by modelopt as {found.get('quant_algo')}"
        case "fp8":
            if found.get("scale_fmt", "float") != "float":
                yield f"with scales of the format {found['scale_fmt']}"
        case "fbgemm-fp8":
            pass
        case _:
            yield f"by {found.get('quant_method') or 'an unnamed method'}"


def _compressed_faults(found: Mapping[str, Any]) -> Iterator[str]:
    for group in _groups(found):
        weights = _weights(group)
        layout = group.get("format") or found.get("format")
        if layout not in {"float-quantized", "naive-quantized", None}:
            yield f"by compressed-tensors in the format {layout}"
        elif (weights.get("type"), weights.get("num_bits")) != ("float", 8):
            yield f"by compressed-tensors to {weights.get('num_bits')} bits {weights.get('type')}"
        elif weights.get("strategy") not in {"channel", "tensor", "block"}:
            yield f"by compressed-tensors with scales per {weights.get('strategy')}"
    sparsity = found.get("sparsity_config") or {}
    if sparsity.get("format", "dense") != "dense":
        yield f"and sparse, in the format {sparsity['format']}"


def _groups(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = found.get("config_groups") or {}
    return [group for group in groups.values() if isinstance(group, Mapping)]


def _weights(group: Mapping[str, Any]) -> Mapping[str, Any]:
    return group.get("weights") or {}
