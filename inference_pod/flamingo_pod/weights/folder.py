"""Check that a checkpoint's folder is complete, reading only the headers of its weights."""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flamingo_pod.weights import listing, quantization
from flamingo_pod.weights.errors import ModelLoadFailed

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors format."""
SCALE_BYTES = 4
CONFIGS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
)


@dataclass(frozen=True, slots=True)
class FolderContents:
    """A summary of the checkpoint in a folder."""

    model_type: str
    weight_bytes: int
    num_tensors: int
    num_parameters: int
    """Without the scales of quantized weights."""
    dtypes: frozenset[str]
    num_fp8: int = 0
    """Parameters of the language model's layers that are stored in FP8, and stay so."""
    num_scales: int = 0
    """Outputs of those layers: each gets a scale."""

    @property
    def is_quantized(self) -> bool:
        """Whether weights are stored in FP8."""
        return quantization.FP8_DTYPE in self.dtypes

    def loaded_bytes(self, element_bytes: int) -> int:
        """Return the memory of the loaded weights; `element_bytes` is of those not in FP8."""
        others = (self.num_parameters - self.num_fp8) * element_bytes
        return self.num_fp8 + self.num_scales * SCALE_BYTES + others


def read_contents(folder: Path) -> FolderContents:
    """Return a summary of `folder`, from its configuration files and its weights' headers.

    Raises:
        ModelLoadFailed: a file is missing or truncated, or would run code; names the file.
    """
    configs = {
        name: read_json_object(folder / name) for name in CONFIGS if (folder / name).is_file()
    }
    if "config.json" not in configs:
        raise ModelLoadFailed(f"{folder} is not a checkpoint: it has no config.json")
    for name, config in configs.items():
        listing.check_runs_no_code(config, file=name)
    quantization.check_config(configs["config.json"])
    names = weight_names(folder)
    tensors = {name: each for file in names for name, each in _header(folder / file).items()}
    _check_index(folder, set(tensors))
    shapes = {name: each["shape"] for name, each in tensors.items()}
    kept = [shapes[name] for name, each in tensors.items() if _stays_fp8(name, each)]
    return FolderContents(
        model_type=str(configs["config.json"].get("model_type")),
        weight_bytes=sum((folder / name).stat().st_size for name in names),
        num_tensors=len(tensors),
        num_parameters=sum(
            math.prod(shape) for name, shape in shapes.items() if not quantization.is_scale(name)
        ),
        dtypes=frozenset(str(each["dtype"]) for each in tensors.values()),
        num_fp8=sum(map(math.prod, kept)),
        num_scales=sum(shape[0] for shape in kept),
    )


def _stays_fp8(name: str, tensor: dict[str, Any]) -> bool:
    is_fp8 = tensor["dtype"] == quantization.FP8_DTYPE
    return is_fp8 and quantization.decoder_projection(name) is not None


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ModelLoadFailed: the file cannot be read, or is not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelLoadFailed(f"{path} is not a JSON object")
    return value


def weight_names(folder: Path) -> list[str]:
    """Return the names of the folder's weight files.

    Raises:
        ModelLoadFailed: one is missing.
    """
    if (folder / listing.SINGLE_FILE).is_file():
        return [listing.SINGLE_FILE]
    if not (folder / listing.INDEX).is_file():
        raise ModelLoadFailed(f"{folder} has neither {listing.SINGLE_FILE} nor {listing.INDEX}")
    names = listing.shard_names(read_json_object(folder / listing.INDEX))
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelLoadFailed(f"{folder} is incomplete: its index lists {', '.join(missing)}")
    return names


def _header(path: Path) -> dict[str, Any]:
    """Return a safetensors file's tensors by name, after checking that the file is complete."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, MAX_HEADER_BYTES):
                raise ModelLoadFailed(f"{path} is not a valid safetensors file, or is truncated")
            header: dict[str, Any] = json.loads(file.read(length))
    except (OSError, ValueError, struct.error) as error:
        raise ModelLoadFailed(f"{path} is not a valid safetensors file: {error}") from error
    header.pop("__metadata__", None)
    end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if size != (expected := 8 + length + end):
        raise ModelLoadFailed(
            f"{path} is truncated or damaged: it has {size:,} bytes instead of {expected:,}"
        )
    return header


def _check_index(folder: Path, present: set[str]) -> None:
    if (folder / listing.SINGLE_FILE).is_file():
        return
    indexed = set(read_json_object(folder / listing.INDEX)["weight_map"])
    if missing := sorted(indexed - present):
        raise ModelLoadFailed(
            f"{folder} is incomplete: {len(missing)} tensors of its index are missing, such as"
            f" {missing[0]}"
        )
