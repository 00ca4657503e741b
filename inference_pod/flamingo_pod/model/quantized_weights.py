"""Weights of checkpoints that were published in FP8: read without making them larger.

How it works: transformers loads quantized checkpoints only with the package of their format, and
each package brings kernels of its own. Here it loads the model with placeholders that take no
memory instead of the FP8 weights, and `install` puts the FP8 weights in their place. FP8 weights
outside of the language model's layers (encoder, projector, output) are loaded as if they had not
been quantized, and so are those that would be fused with one that is not quantized.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from flamingo_pod.model import fp8
from flamingo_pod.model.fp8 import FUSED_GROUPS, MULTIPLE, Fp8Matrix
from flamingo_pod.weights import folder, quantization
from flamingo_pod.weights.errors import ModelLoadFailed

Projection = tuple[int, str]
"""A layer of the language model, and the name in it: `(3, "mlp.up_proj")`."""
GROUPS = [tuple(f"{part}.{name}" for name in names) for part, names in FUSED_GROUPS]


@dataclass(frozen=True, slots=True)
class PublishedWeight:
    """An FP8 weight as it is in the files."""

    data: torch.Tensor
    """float8_e4m3fn `(out, in)`."""
    scale: torch.Tensor
    """One number, one for each output, or one for each block."""
    block: tuple[int, int]
    """Rows and columns of a block; the last ones may be smaller."""

    def dequantize(self) -> torch.Tensor:
        """Return the weight in float32."""
        return self.data.float() * (self._row_scale() if self._has_row_scales() else self._blocks())

    def with_row_scales(self) -> Fp8Matrix:
        """Return the weight with one scale per output: exact, except for blocks.

        Blocks are quantized again, since few devices have a product for them.
        """
        if self._has_row_scales():
            return Fp8Matrix(self.data, self._row_scale())
        return fp8.quantize(self.dequantize())

    def fault(self) -> str | None:
        """Return what is wrong with the scale, as the end of a sentence; None if it can be used."""
        num_out, num_in = self.data.shape
        blocks = tuple(-(-size // by) for size, by in zip(self.data.shape, self.block, strict=True))
        if not self._has_row_scales() and tuple(self.scale.shape) != blocks:
            return (
                f"has the shape {list(self.scale.shape)}, but one number, {num_out} for the outputs"
                f" or {list(blocks)} for blocks of {self.block[0]} x {self.block[1]} are supported"
                f" for a weight of {num_out} x {num_in}"
            )
        return None if self.scale.float().isfinite().all() else "is not finite"

    def to(self, device: str) -> "PublishedWeight":
        """Return the weight on `device`."""
        return PublishedWeight(self.data.to(device), self.scale.to(device), self.block)

    def _has_row_scales(self) -> bool:
        return self.scale.numel() == 1 or tuple(self.scale.shape) in {
            (len(self.data),),
            (len(self.data), 1),
        }

    def _row_scale(self) -> torch.Tensor:
        """Return `(out, 1)`."""
        return self.scale.float().reshape(-1, 1).expand(len(self.data), 1).contiguous()

    def _blocks(self) -> torch.Tensor:
        """Return the scale of each value, `(out, in)`."""
        (num_out, num_in), (block_out, block_in) = self.data.shape, self.block
        rows = self.scale.float().repeat_interleave(block_out, 0)[:num_out]
        return rows.repeat_interleave(block_in, 1)[:, :num_in]


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """All tensors of a checkpoint."""

    state: Mapping[str, torch.Tensor]
    """By name, as transformers loads them; placeholders for the FP8 weights that are kept."""
    kept: Mapping[Projection, PublishedWeight]


def read(place: Path, dtype: torch.dtype) -> QuantizedWeights:
    """Return the tensors in the folder `place`, mapped from their files where they are kept.

    Raises:
        ModelLoadFailed: an FP8 weight has no scale, or one that does not fit it, or a weight of
            another type has one.
    """
    block = quantization.block_shape(folder.read_json_object(place / "config.json"))
    tensors = dict(_tensors(place))
    state = {name: each for name, each in tensors.items() if not quantization.is_scale(name)}
    weights = {
        name: _weight(name, tensors, block)
        for name, each in state.items()
        if each.dtype == fp8.DTYPE
    }
    if others := sorted(state.keys() & quantization.scaled_names(tensors) - weights.keys()):
        raise ModelLoadFailed(
            f"the weight {others[0]} has a scale, but the type {tensors[others[0]].dtype}, and only"
            f" {fp8.DTYPE} is supported; {quantization.ORIGINAL}"
        )
    projections = {name: quantization.decoder_projection(name) for name in weights}
    kept = _complete({key: weights[name] for name, key in projections.items() if key})
    for name, key in projections.items():
        shape = weights[name].data.shape
        is_kept = key is not None and key in kept
        state[name] = (
            torch.zeros((), dtype=dtype).expand(shape)
            if is_kept
            else weights[name].dequantize().to(dtype)
        )
    return QuantizedWeights(state, kept)


def _weight(
    name: str, tensors: Mapping[str, torch.Tensor], block: tuple[int, int]
) -> PublishedWeight:
    scale_name = quantization.scale_name(name, tensors)
    weight = PublishedWeight(tensors[name], tensors[scale_name], block)
    if fault := weight.fault():
        raise ModelLoadFailed(f"the scale {scale_name} {fault}; {quantization.ORIGINAL}")
    return weight


def _tensors(place: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for name in folder.weight_names(place):
        with safe_open(place / name, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - not a mapping
                yield key, file.get_tensor(key)


def _complete(found: Mapping[Projection, PublishedWeight]) -> dict[Projection, PublishedWeight]:
    """Return the weights all of whose group, which is fused into one product, can be in FP8."""
    kept: dict[Projection, PublishedWeight] = {}
    layers: defaultdict[int, dict[str, PublishedWeight]] = defaultdict(dict)
    for (layer, name), weight in found.items():
        layers[layer][name] = weight
    for layer, weights in layers.items():
        for names in GROUPS:
            group = [weights[name] for name in names if name in weights]
            if len(group) == len(names) and not any(
                width % MULTIPLE for weight in group for width in weight.data.shape
            ):
                kept |= {(layer, name): weights[name] for name in names}
    return kept


def install(
    layers: Any,
    kept: Mapping[Projection, PublishedWeight],
    device: str,
    report: Callable[[int], None],
) -> None:
    """Replace the placeholders in the decoder `layers` by the weights, on `device`.

    Each weight's size in bytes is reported.
    """
    for (layer, name), weight in kept.items():
        part, _, projection = name.partition(".")
        matrix = weight.to(device).with_row_scales()
        fp8.replace(getattr(layers[layer], part), projection, matrix)
        report(weight.data.numel())
