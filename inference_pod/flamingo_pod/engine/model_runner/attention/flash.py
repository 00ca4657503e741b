"""Attention of chunks by FlashAttention's kernel for sequences of different lengths, on CUDA.

One call a layer, or two where a chunk has two runs, instead of one for each chunk and run: PyTorch
contains the kernel (`aten::_flash_attention_forward`). With `seqused_k` it reads only the starts of
`cum_seq_k`, which may then be anywhere in the pool. `block_table` is not used: with it PyTorch
returned wrong rows (pytorch#194167).
"""

from typing import Protocol

import torch

from flamingo_pod.engine.device.transfer import to_device
from flamingo_pod.engine.model_runner.attention.varlen import VarlenCall, VarlenPlan, plan_calls
from flamingo_pod.engine.model_runner.device_batch import DeviceBatch
from flamingo_pod.engine.model_runner.kv import KvPool

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class VarlenKernel(Protocol):
    """A kernel for sequences of different lengths."""

    def __call__(
        self, qkv: Tensors, call: VarlenCall, arrays: Tensors, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return attention `(rows, heads, width)` and its log-sum-exp `(heads, rows)`, float32.

        Queries are `(rows, heads, width)`, keys and values `(slots, kv heads, width)`; `arrays` are
        those of `call` on the device, in its order.
        """
        ...


def flash_attention(
    qkv: Tensors, call: VarlenCall, arrays: Tensors, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call PyTorch's kernel, as `VarlenKernel` describes."""
    row_starts, slot_starts, num_slots = arrays
    out, lse, *_ = torch.ops.aten._flash_attention_forward(  # noqa: SLF001 - no public name
        *qkv,
        row_starts,
        slot_starts,
        call.max_rows,
        call.max_slots,
        0.0,
        call.is_causal,
        False,
        scale=scale,
        seqused_k=num_slots,
    )
    return out, lse


class FlashAttention:
    """`ChunkAttention` in one or two calls a layer."""

    def __init__(self, pool: KvPool, kernel: VarlenKernel = flash_attention) -> None:
        self._pool = pool
        self._kernel = kernel
        self._plan: VarlenPlan | None = None
        self._causal: Tensors
        self._full: Tensors
        self._full_rows: torch.Tensor

    def plan(self, batch: DeviceBatch) -> None:
        """Prepare what all layers of the next step share."""
        plan = plan_calls(batch.host)
        calls = [plan.causal] if plan.full is None else [plan.causal, plan.full]
        arrays = [(one.row_starts, one.slot_starts, one.num_slots) for one in calls]
        flat = to_device([each for group in arrays for each in group], batch.slots.device)
        (rows,) = to_device([plan.full_rows], batch.slots.device)
        self._causal, self._full = (flat[0], flat[1], flat[2]), (flat[-3], flat[-2], flat[-1])
        self._plan, self._full_rows = plan, rows

    def attend(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Return attention for rotated `queries`, both `(rows, heads, head width)`."""
        plan = self._plan
        assert plan is not None
        out, lse = self._call(layer, queries, plan.causal, self._causal)
        if plan.full is None:
            return out
        rows = self._full_rows
        before = self._call(layer, queries.index_select(0, rows), plan.full, self._full)
        own = out.index_select(0, rows), lse.index_select(1, rows)
        return out.index_copy(0, rows.long(), _merged(own, before))

    def _call(
        self, layer: int, queries: torch.Tensor, call: VarlenCall, arrays: Tensors
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self._pool.keys[layer], self._pool.values[layer]
        return self._kernel((queries, keys, values), call, arrays, self._pool.scale)


def _merged(
    one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return attention over the slots of both, as FlashAttention's own splits are merged."""
    total = torch.logaddexp(one[1], other[1])
    parts = [
        out * (lse - total).exp().transpose(0, 1).unsqueeze(-1).to(out.dtype)
        for out, lse in (one, other)
    ]
    return parts[0] + parts[1]
