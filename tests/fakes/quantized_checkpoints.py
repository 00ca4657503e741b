"""Checkpoints quantized in the published layouts, written from an unquantized one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load_file, save_file

MAX = 448.0


def by_channel(weight):
    """Return float8 values and one scale for each output."""
    scale = weight.abs().amax(1, keepdim=True) / MAX
    return (weight / scale).to(torch.float8_e4m3fn), scale


def by_channel_flat(weight):
    data, scale = by_channel(weight)
    return data, scale[:, 0].contiguous()


def by_tensor(weight):
    scale = weight.abs().max() / MAX
    return (weight / scale).to(torch.float8_e4m3fn), scale


def by_block(rows, columns):
    """Return a function that returns float8 values and one scale for each block."""

    def quantize(weight):
        scales, data = [], torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
        for top in range(0, weight.shape[0], rows):
            scales.append([])
            for left in range(0, weight.shape[1], columns):
                block = weight[top : top + rows, left : left + columns]
                scale = block.abs().max() / MAX
                scales[-1].append(scale)
                data[top : top + rows, left : left + columns] = (block / scale).to(data.dtype)
        return data, torch.tensor(scales)

    return quantize


@dataclass(frozen=True)
class Layout:
    config: dict[str, Any]
    quantize: Callable
    scale_suffix: str = "weight_scale"
    quantizes_encoder: bool = False
    extra: dict[str, torch.Tensor] = field(default_factory=dict)
    """Further tensors of each quantized layer."""
    is_exact: bool = True
    """Whether the weights are kept bit for bit."""


def compressed(strategy, *, dynamic=True, **weights):
    activations = {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": dynamic}
    group = {
        "targets": ["Linear"],
        "weights": {
            "num_bits": 8,
            "type": "float",
            "strategy": strategy,
            "symmetric": True,
            "dynamic": False,
            **weights,
        },
        "input_activations": activations | {"strategy": "token" if dynamic else "tensor"},
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "float-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head", "re:.*audio_tower.*"],
        "kv_cache_scheme": None,
    }


INPUT_SCALE = {"input_scale": torch.tensor(0.02)}
LAYOUTS = {
    "compressed-tensors FP8_DYNAMIC": Layout(compressed("channel"), by_channel),
    "compressed-tensors FP8": Layout(
        compressed("tensor", dynamic=False), by_tensor, extra=INPUT_SCALE
    ),
    "compressed-tensors FP8_BLOCK": Layout(
        compressed("block", block_structure=[32, 48]), by_block(32, 48), is_exact=False
    ),
    "fbgemm_fp8": Layout({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, by_channel),
    "fp8 in blocks": Layout(
        {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [32, 32]},
        by_block(32, 32),
        "weight_scale_inv",
        quantizes_encoder=True,
        is_exact=False,
    ),
    "fp8 of AutoFP8": Layout(
        {"quant_method": "fp8", "activation_scheme": "static"}, by_tensor, extra=INPUT_SCALE
    ),
    "modelopt FP8": Layout(
        {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"},
        by_tensor,
        extra=INPUT_SCALE | {"k_scale": torch.tensor(1.0)},
    ),
    "modelopt FP8_PER_CHANNEL_PER_TOKEN": Layout(
        {"quant_method": "modelopt", "quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"}, by_channel_flat
    ),
}


def write(source, target, layout, *, skip=()):
    """Write the checkpoint in `source`, quantized, as `target`; return the quantized tensors."""
    shutil.copytree(source, target)
    tensors = load_file(source / "model.safetensors")
    parts = ("language_model", "audio_tower") if layout.quantizes_encoder else ("language_model",)
    written = {}
    for name, tensor in sorted(tensors.items()):
        is_linear = tensor.ndim == 2 and "embed" not in name and "lm_head" not in name
        if is_linear and name.startswith(parts) and not name.endswith(tuple(skip)):
            stem = name.removesuffix("weight")
            written[name], written[stem + layout.scale_suffix] = layout.quantize(tensor)
            written |= {stem + extra: value.clone() for extra, value in layout.extra.items()}
        else:
            written[name] = tensor
    save_file(written, target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"quantization_config": layout.config}))
    return written


def dequantized(written, name, layout):
    """Return the weight of a name as the tensors of a written checkpoint say, in float32."""
    data, scale = written[name].float(), written[name.removesuffix("weight") + layout.scale_suffix]
    if scale.numel() == 1 or scale.shape[0] == len(data):
        return data * scale.reshape(-1, 1)
    block = layout.config.get("weight_block_size") or [32, 48]
    rows = torch.arange(data.shape[0]) // block[0]
    columns = torch.arange(data.shape[1]) // block[1]
    return data * scale[rows][:, columns]
