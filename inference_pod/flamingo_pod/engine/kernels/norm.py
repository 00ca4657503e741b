"""The addition to the residual stream and the RMSNorm after it, in one launch; also in FP8."""

import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.rounding import EXACT, round_to
from flamingo_pod.model import fp8_kernel
from flamingo_pod.model.fp8 import Fp8Matrix
from flamingo_pod.model.fp8_kernel import quantized, scale_of, sizes_of

VALUES_PER_WARP = 512
"""16 per thread: two loads of 16 bytes each in bfloat16, the widest that there are."""
MAX_WARPS = 8
"""Of one row; more would wait longer for each other in the sum than they save."""


@triton.jit
def _add_rms_norm(
    hidden: tl.tensor,
    delta: tl.tensor,
    weight: tl.tensor,
    total: tl.tensor,
    normed: tl.tensor,
    scales: tl.tensor,
    hidden_stride: tl.tensor,
    delta_stride: tl.tensor,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    MAX: tl.constexpr,
    MIN_SCALE: tl.constexpr,
    LARGEST: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    mask = columns < WIDTH
    dtype = hidden.dtype.element_ty
    values = tl.load(hidden + row * hidden_stride + columns, mask, other=0.0).to(tl.float32)
    if delta is not None:
        added = tl.load(delta + row * delta_stride + columns, mask, other=0.0)
        rounded = round_to(values + added.to(tl.float32), dtype)
        tl.store(total + row * WIDTH + columns, rounded, mask)
        values = rounded.to(tl.float32)
    # Loaded before the sum, whose barrier would keep it waiting.
    factor = tl.load(weight + columns, mask, other=0.0).to(tl.float32)
    mean_square = tl.sum(values * values, axis=0) / WIDTH
    scaled = round_to(values * tl.rsqrt(mean_square + EPS), dtype).to(tl.float32)
    result = round_to(scaled * factor, dtype)
    if scales is not None:
        wide = result.to(tl.float32)
        scale = scale_of(tl.max(sizes_of(wide, LARGEST), axis=0), MAX, MIN_SCALE, LARGEST)
        tl.store(scales + row, scale)
        tl.store(normed + row * WIDTH + columns, quantized(wide, scale, MAX), mask)
    else:
        tl.store(normed + row * WIDTH + columns, result, mask)


def add_rms_norm(
    hidden: torch.Tensor, delta: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `hidden + delta` and its RMSNorm, both `(rows, width)` in the dtype of `hidden`.

    `hidden` and `delta` are `(rows, width)` with adjacent columns, and `weight` is `(width,)`.
    Without `delta`, the first result is `hidden` itself. The sum is rounded, then normalized in
    float32, and rounded again before the weight is applied: as in `reference.add_rms_norm`. One
    launch.
    """
    normed = hidden.new_empty(hidden.shape)
    return _launch(hidden, delta, weight, eps, (normed, None)), normed


def add_rms_norm_fp8(
    hidden: torch.Tensor, delta: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, Fp8Matrix]:
    """Return `hidden + delta`, and its RMSNorm as `fp8.quantize` would make it. One launch."""
    num_rows, width = hidden.shape
    normed = fp8_kernel.allocate(num_rows, width, hidden.device)
    return _launch(hidden, delta, weight, eps, (normed.data, normed.scale)), normed


def _launch(
    hidden: torch.Tensor,
    delta: torch.Tensor | None,
    weight: torch.Tensor,
    eps: float,
    normed: tuple[torch.Tensor, torch.Tensor | None],
) -> torch.Tensor:
    """Write the norm, with scales if it is in FP8, and return the sum."""
    num_rows, width = hidden.shape
    assert hidden.stride(1) == 1
    assert delta is None or (delta.shape == hidden.shape and delta.stride(1) == 1)
    assert weight.is_contiguous()
    total = hidden if delta is None else hidden.new_empty(hidden.shape)
    block = triton.next_power_of_2(width)
    _add_rms_norm[(num_rows,)](
        hidden,
        delta,
        weight,
        total,
        *normed,
        hidden.stride(0),
        0 if delta is None else delta.stride(0),
        EPS=eps,
        WIDTH=width,
        BLOCK=block,
        num_warps=min(max(block // VALUES_PER_WARP, 1), MAX_WARPS),
        **fp8_kernel.LIMITS,
        **EXACT,
    )
    return total
