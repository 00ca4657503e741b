"""Attention of decode rows over two runs of the KV pool: split-KV with grouped heads.

How it works: each row has one program for each KV head and split. The runs of a row are one range
of tokens, of which each split takes a part; a token's slot follows from its position in that range,
so a program loops over both runs at once. The query heads that share a KV head are the rows of one
tile, hence keys and values are read once. A program writes its output and the logarithm of its sum
of exponentials, and a second kernel combines them ("Flash-Decoding", Dao et al., 2023). Programs of
empty splits write nothing, and what they would have written is not read.

In FP8, the first kernel also writes the largest value of each part. The output of a row is a mean
of its parts, so none of its values is larger than the largest of all parts, which the scale is made
of: no program of the second kernel has to wait for the others.

Keys and values are only loaded from slots of the row's runs: other memory of the pool may be NaN.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.rounding import EXACT, product, round_to
from flamingo_pod.engine.kernels.split_sizes import MIN_SPLIT_TOKENS, NUM_STAGES, split_sizes
from flamingo_pod.model import fp8, fp8_kernel
from flamingo_pod.model.fp8 import Fp8Matrix
from flamingo_pod.model.fp8_kernel import quantized, scale_of, sizes_of

MIN_DOT_SIZE = 16
"""Of rows and columns in a matrix product on tensor cores; a smaller group of heads is padded."""
NUM_WARPS = 4
"""Each has a quarter of a tile's tokens in the first product, and of the width in the second."""


@triton.jit
def _tokens_per_split(
    num_tokens: tl.tensor,
    NUM_SPLITS: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    MIN_TOKENS: tl.constexpr,
) -> tl.tensor:
    """Return how many of a row's tokens each split takes: whole blocks."""
    tokens = tl.maximum((num_tokens + NUM_SPLITS - 1) // NUM_SPLITS, MIN_TOKENS)
    return (tokens + BLOCK_TOKENS - 1) // BLOCK_TOKENS * BLOCK_TOKENS


@triton.jit
def _slots(
    token: tl.tensor, prefix_start: tl.tensor, prefix_len: tl.tensor, tail_start: tl.tensor
) -> tl.tensor:
    """Return where in the pool tokens of a row are; in 64 bits, since offsets exceed 2**31."""
    in_tail = tail_start + token - prefix_len
    return tl.where(token < prefix_len, prefix_start + token, in_tail).to(tl.int64)


@triton.jit
def _accumulate(
    scores: tl.tensor,
    value: tl.tensor,
    largest: tl.tensor,
    total: tl.tensor,
    output: tl.tensor,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Return the softmax over one more block: its largest score, its sum and its output."""
    new_largest = tl.maximum(largest, tl.max(scores, axis=1))
    weights = tl.exp2(scores - new_largest[:, None])
    correction = tl.exp2(largest - new_largest)
    new_total = total * correction + tl.sum(weights, axis=1)
    added = product(round_to(weights, value.dtype), value)
    return new_largest, new_total, output * correction[:, None] + added


@triton.jit(do_not_specialize_on_alignment=["runs"])
def _attend_to_split(
    queries: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    runs: tl.tensor,
    outputs: tl.tensor,
    log_sums: tl.tensor,
    sizes: tl.tensor,
    scale: tl.tensor,
    query_row_stride: tl.tensor,
    query_head_stride: tl.tensor,
    key_slot_stride: tl.tensor,
    key_head_stride: tl.tensor,
    value_slot_stride: tl.tensor,
    value_head_stride: tl.tensor,
    GROUP: tl.constexpr,
    BLOCK_GROUP: tl.constexpr,
    WIDTH: tl.constexpr,
    NUM_SPLITS: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    MIN_TOKENS: tl.constexpr,
    LARGEST: tl.constexpr,
) -> None:
    row, kv_head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    prefix_start, prefix_len = tl.load(runs + row * 4), tl.load(runs + row * 4 + 1)
    tail_start, tail_len = tl.load(runs + row * 4 + 2), tl.load(runs + row * 4 + 3)
    num_tokens = prefix_len + tail_len
    size = _tokens_per_split(num_tokens, NUM_SPLITS, BLOCK_TOKENS, MIN_TOKENS)
    start = split * size
    stop = tl.minimum(start + size, num_tokens)
    if start < stop:
        group = tl.arange(0, BLOCK_GROUP)
        column = tl.arange(0, WIDTH)
        in_group = group < GROUP
        head = kv_head * GROUP + group
        query_at = queries + row * query_row_stride + head[:, None] * query_head_stride
        query = tl.load(query_at + column[None, :], in_group[:, None], other=0.0)
        keys_at = keys + kv_head * key_head_stride + column[None, :]
        values_at = values + kv_head * value_head_stride + column[None, :]
        largest = tl.full([BLOCK_GROUP], float("-inf"), tl.float32)
        total = tl.zeros([BLOCK_GROUP], tl.float32)
        output = tl.zeros([BLOCK_GROUP, WIDTH], tl.float32)
        for first in range(start, stop, BLOCK_TOKENS):
            token = first + tl.arange(0, BLOCK_TOKENS)
            is_token = token < stop
            slot = _slots(token, prefix_start, prefix_len, tail_start)[:, None]
            key = tl.load(keys_at + slot * key_slot_stride, is_token[:, None], other=0.0)
            value = tl.load(values_at + slot * value_slot_stride, is_token[:, None], other=0.0)
            # A block has at least one token, so the largest score is finite.
            scores = product(query, tl.trans(key)) * scale
            scores = tl.where(is_token[None, :], scores, float("-inf"))
            largest, total, output = _accumulate(scores, value, largest, total, output)
        num_heads = tl.num_programs(1) * GROUP
        part = (row * num_heads + head) * NUM_SPLITS + split
        output_at = outputs + part[:, None] * WIDTH + column[None, :]
        mean = output / total[:, None]
        tl.store(output_at, mean, in_group[:, None])
        tl.store(log_sums + part, largest + tl.log2(total), in_group)
        if sizes is not None:
            tl.store(sizes + part, tl.max(sizes_of(mean, LARGEST), axis=1), in_group)


@triton.jit(do_not_specialize_on_alignment=["runs"])
def _combine_splits(
    outputs: tl.tensor,
    log_sums: tl.tensor,
    sizes: tl.tensor,
    runs: tl.tensor,
    combined: tl.tensor,
    scales: tl.tensor,
    WIDTH: tl.constexpr,
    NUM_SPLITS: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    MIN_TOKENS: tl.constexpr,
    NUM_PARTS: tl.constexpr,
    BLOCK_PARTS: tl.constexpr,
    MAX: tl.constexpr,
    MIN_SCALE: tl.constexpr,
    LARGEST: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    head = row * tl.num_programs(1) + tl.program_id(1)
    num_tokens = tl.load(runs + row * 4 + 1) + tl.load(runs + row * 4 + 3)
    size = _tokens_per_split(num_tokens, NUM_SPLITS, BLOCK_TOKENS, MIN_TOKENS)
    split, column = tl.arange(0, NUM_SPLITS), tl.arange(0, WIDTH)
    is_used = split * size < num_tokens
    part = head * NUM_SPLITS + split
    log_sum = tl.load(log_sums + part, is_used, other=float("-inf"))
    largest = tl.max(log_sum, axis=0)
    # A row without tokens has no used split: without this, -inf - -inf would be NaN.
    largest = tl.where(num_tokens > 0, largest, 0.0)
    weights = tl.exp2(log_sum - largest)
    output_at = outputs + part[:, None] * WIDTH + column[None, :]
    output = tl.load(output_at, is_used[:, None], other=0.0)
    total = tl.where(num_tokens > 0, tl.sum(weights, axis=0), 1.0)
    mean = tl.sum(output * weights[:, None], axis=0) / total
    if scales is not None:
        number = tl.arange(0, BLOCK_PARTS)
        is_part = (number < NUM_PARTS) & ((number % NUM_SPLITS) * size < num_tokens)
        bound = tl.max(tl.load(sizes + row * NUM_PARTS + number, is_part, other=0.0), axis=0)
        scale = scale_of(bound, MAX, MIN_SCALE, LARGEST)
        tl.store(scales + row, scale, tl.program_id(1) == 0)
        tl.store(combined + head * WIDTH + column, quantized(mean, scale, MAX))
    else:
        tl.store(combined + head * WIDTH + column, round_to(mean, combined.dtype.element_ty))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the first kernel writes, and what both are compiled for."""

    outputs: torch.Tensor
    """float32 `(rows, heads, splits, width)`."""
    log_sums: torch.Tensor
    """float32 `(rows, heads, splits)`."""
    sizes: torch.Tensor | None
    """In FP8: the largest value of each output, or infinity where one is not finite."""
    constants: dict[str, Any]


def decode_attention(
    queries: torch.Tensor,
    kv: tuple[torch.Tensor, torch.Tensor],
    runs: torch.Tensor,
    scale: float,
    num_processors: int | None = None,
) -> torch.Tensor:
    """Return attention of each row of `queries` over its runs, `(rows, heads, width)`.

    `queries` are `(rows, heads, width)`, and `kv` one layer's keys and values,
    `(tokens, kv heads, width)` each, all with adjacent columns; `width` is a power of two, 16 or
    more. `runs` are int32 `(rows, 4)`: the start and the length of the prefix and of the tail, in
    slots. A row whose runs are both empty, as a padded row of a CUDA graph, gets zeros. Accumulates
    in float32. Two launches, whose grids depend on the number of rows and on `num_processors`, by
    default the number of streaming multiprocessors of the device.
    """
    parts = _attend(queries, kv, runs, (scale, num_processors), is_fp8=False)
    combined = queries.new_empty(queries.shape)
    _combine(parts, runs, combined, None)
    return combined


def decode_attention_fp8(
    queries: torch.Tensor,
    kv: tuple[torch.Tensor, torch.Tensor],
    runs: torch.Tensor,
    scale: float,
    num_processors: int | None = None,
) -> Fp8Matrix:
    """Return what `decode_attention` computes in FP8, `(rows, heads * width)`.

    The scale of a row may be larger than its largest value needs, by what its splits differ.
    """
    parts = _attend(queries, kv, runs, (scale, num_processors), is_fp8=True)
    combined = fp8_kernel.allocate(len(queries), queries[0].numel(), queries.device)
    _combine(parts, runs, combined.data, combined.scale)
    return combined


def _attend(
    queries: torch.Tensor,
    kv: tuple[torch.Tensor, torch.Tensor],
    runs: torch.Tensor,
    scale_and_processors: tuple[float, int | None],
    *,
    is_fp8: bool,
) -> _Parts:
    keys, values = kv
    num_rows, num_heads, width = queries.shape
    num_kv_heads = keys.shape[1]
    assert num_heads % num_kv_heads == 0
    assert width >= MIN_DOT_SIZE
    assert width == triton.next_power_of_2(width)
    assert queries.stride(2) == keys.stride(2) == values.stride(2) == 1
    assert runs.is_contiguous()
    group = num_heads // num_kv_heads
    scale, given = scale_and_processors
    num_processors = given or _num_processors(keys.device)
    sizes = split_sizes(num_rows, num_kv_heads, width * keys.element_size(), num_processors)
    shape = (num_rows, num_heads, sizes.num_splits)
    constants = {
        "WIDTH": width,
        "NUM_SPLITS": sizes.num_splits,
        "BLOCK_TOKENS": sizes.block_tokens,
        "MIN_TOKENS": MIN_SPLIT_TOKENS,
        "LARGEST": fp8_kernel.LARGEST,
        "num_warps": NUM_WARPS,
        **EXACT,
    }
    parts = _Parts(
        outputs=queries.new_empty((*shape, width), dtype=torch.float32),
        log_sums=queries.new_empty(shape, dtype=torch.float32),
        sizes=queries.new_empty(shape, dtype=torch.float32) if is_fp8 else None,
        constants=constants,
    )
    _attend_to_split[(num_rows, num_kv_heads, sizes.num_splits)](
        queries,
        keys,
        values,
        runs,
        parts.outputs,
        parts.log_sums,
        parts.sizes,
        scale * math.log2(math.e),
        *queries.stride()[:2],
        *keys.stride()[:2],
        *values.stride()[:2],
        GROUP=group,
        BLOCK_GROUP=max(triton.next_power_of_2(group), MIN_DOT_SIZE),
        num_stages=NUM_STAGES,
        **constants,
    )
    return parts


def _combine(
    parts: _Parts, runs: torch.Tensor, combined: torch.Tensor, scales: torch.Tensor | None
) -> None:
    num_rows, num_heads, num_splits = parts.log_sums.shape
    _combine_splits[(num_rows, num_heads)](
        parts.outputs,
        parts.log_sums,
        parts.sizes,
        runs,
        combined,
        scales,
        NUM_PARTS=num_heads * num_splits,
        BLOCK_PARTS=triton.next_power_of_2(num_heads * num_splits),
        MAX=fp8.MAX,
        MIN_SCALE=fp8.MIN_SCALE,
        **parts.constants,
    )


@functools.cache
def _num_processors(device: torch.device) -> int:
    """Return how many streaming multiprocessors a device has; a CPU counts as one."""
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
