"""What a forward pass needs of attention."""

from typing import Protocol

import torch

from flamingo_pod.engine.model_runner.device_batch import DeviceBatch
from flamingo_pod.model.linear import Activations

Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines of the rows' positions, `(rows, head width)` each."""


class Attention(Protocol):
    """Attention of a batch's rows over the pool, into which their own KV is written first."""

    def plan(self, batch: DeviceBatch) -> None:
        """Prepare what all layers of the next step share."""
        ...

    def write_and_attend(
        self, layer: int, qkv: torch.Tensor, rotation: Rotation, *, is_fp8: bool = False
    ) -> Activations:
        """Return attention `(rows, heads * head width)`, with `is_fp8` perhaps in FP8.

        `qkv` is `(rows, (heads + 2 * kv heads) * head width)`: queries, keys and values that are
        not rotated yet; the rotated keys and the values are in the pool afterwards.
        """
        ...
