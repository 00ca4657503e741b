"""Bias, rotary positions and the write to the KV pool, in one launch."""

import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.rounding import EXACT, round_to

HEADS_PER_PROGRAM = 4
"""Of 128 each: one warp. 36 heads are nine programs, so one row is spread over nine processors."""


@triton.jit
def _load_biased(
    values_at: tl.tensor,
    bias: tl.tensor,
    offsets: tl.tensor,
    mask: tl.tensor,
    dtype: tl.constexpr,
) -> tl.tensor:
    """Return the values at `offsets` plus their bias, rounded to `dtype`, in float32."""
    values = tl.load(values_at + offsets, mask, other=0.0).to(tl.float32)
    if bias is not None:
        added = values + tl.load(bias + offsets, mask, other=0.0).to(tl.float32)
        values = round_to(added, dtype).to(tl.float32)
    return values


@triton.jit
def _sum_of_products(
    left: tl.tensor,
    left_factor: tl.tensor,
    right: tl.tensor,
    right_factor: tl.tensor,
    dtype: tl.constexpr,
) -> tl.tensor:
    """Return `left * left_factor + right * right_factor`, each product rounded to `dtype`."""
    first = round_to(left * left_factor, dtype).to(tl.float32)
    second = round_to(right * right_factor, dtype).to(tl.float32)
    return first + second


@triton.jit(do_not_specialize_on_alignment=["slots"])
def _rotate_and_write(
    qkv: tl.tensor,
    bias: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    slots: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    queries: tl.tensor,
    qkv_stride: tl.tensor,
    cos_stride: tl.tensor,
    sin_stride: tl.tensor,
    key_slot_stride: tl.tensor,
    key_head_stride: tl.tensor,
    key_stride: tl.tensor,
    value_slot_stride: tl.tensor,
    value_head_stride: tl.tensor,
    value_stride: tl.tensor,
    NUM_HEADS: tl.constexpr,
    NUM_KV_HEADS: tl.constexpr,
    HALF: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK_HEADS + tl.arange(0, BLOCK_HEADS)[:, None]
    column = tl.arange(0, HALF)[None, :]
    dtype = queries.dtype.element_ty
    in_row = (head < NUM_HEADS + 2 * NUM_KV_HEADS) & (column < HALF)
    at = head * (2 * HALF) + column
    first = _load_biased(qkv + row * qkv_stride, bias, at, in_row, dtype)
    second = _load_biased(qkv + row * qkv_stride, bias, at + HALF, in_row, dtype)
    cos_at, sin_at = cos + row * cos_stride + column, sin + row * sin_stride + column
    cos_first, cos_second = tl.load(cos_at).to(tl.float32), tl.load(cos_at + HALF).to(tl.float32)
    sin_first, sin_second = tl.load(sin_at).to(tl.float32), tl.load(sin_at + HALF).to(tl.float32)
    rotated_first = _sum_of_products(first, cos_first, -second, sin_first, dtype)
    rotated_second = _sum_of_products(second, cos_second, first, sin_second, dtype)
    is_value = head >= NUM_HEADS + NUM_KV_HEADS
    first = round_to(tl.where(is_value, first, rotated_first), dtype)
    second = round_to(tl.where(is_value, second, rotated_second), dtype)

    is_query = (head < NUM_HEADS) & (column < HALF)
    query_at = queries + (row * NUM_HEADS + head) * (2 * HALF) + column
    tl.store(query_at, first, is_query)
    tl.store(query_at + HALF, second, is_query)
    slot = tl.load(slots + row).to(tl.int64)
    num_written = tl.where(slot >= 0, NUM_HEADS + 2 * NUM_KV_HEADS, 0)
    is_written = (head < num_written) & (column < HALF)
    is_key = is_written & (head >= NUM_HEADS) & (head < NUM_HEADS + NUM_KV_HEADS)
    key_head = head - NUM_HEADS
    key_at = keys + slot * key_slot_stride + key_head * key_head_stride + column * key_stride
    tl.store(key_at, first, is_key)
    tl.store(key_at + HALF * key_stride, second, is_key)
    value_head = head - NUM_HEADS - NUM_KV_HEADS
    value_at = values + slot * value_slot_stride + value_head * value_head_stride
    value_at += column * value_stride
    tl.store(value_at, first, is_written & is_value)
    tl.store(value_at + HALF * value_stride, second, is_written & is_value)


def rotate_and_write(
    qkv: torch.Tensor,
    bias: torch.Tensor | None,
    rotation: tuple[torch.Tensor, torch.Tensor],
    slots: torch.Tensor,
    kv: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Write rotated keys and values to the pool; return rotated queries `(rows, heads, width)`.

    `qkv` is the packed product without bias, `(rows, (heads + 2 * kv heads) * width)`, and `bias`
    its bias or None. `rotation` is the cosine and the sine of each row's position, `(rows, width)`
    each, for half-split pairs: as in `reference.rotate_and_write`. `kv` are one layer's keys and
    values, `(tokens, kv heads, width)` each with any strides; `width` is a power of two.

    Row `i` is written to `slots[i]` (int32), and not at all if that is negative. Padded rows of a
    CUDA graph have a negative slot or share a trash slot: what that contains is unspecified. One
    launch.
    """
    cos, sin = rotation
    keys, values = kv
    num_kv_heads, width = keys.shape[1:]
    num_heads = qkv.shape[1] // width - 2 * num_kv_heads
    assert qkv.stride(1) == cos.stride(1) == sin.stride(1) == slots.stride(0) == 1
    assert width == triton.next_power_of_2(width)
    assert bias is None or bias.is_contiguous()
    queries = qkv.new_empty(len(qkv), num_heads, width)
    num_programs = triton.cdiv(num_heads + 2 * num_kv_heads, HEADS_PER_PROGRAM)
    _rotate_and_write[(len(qkv), num_programs)](
        qkv,
        bias,
        cos,
        sin,
        slots,
        keys,
        values,
        queries,
        qkv.stride(0),
        cos.stride(0),
        sin.stride(0),
        *keys.stride(),
        *values.stride(),
        NUM_HEADS=num_heads,
        NUM_KV_HEADS=num_kv_heads,
        HALF=width // 2,
        BLOCK_HEADS=HEADS_PER_PROGRAM,
        num_warps=1,
        **EXACT,
    )
    return queries
