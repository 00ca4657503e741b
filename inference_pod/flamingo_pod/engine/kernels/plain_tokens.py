"""Tokens of rows that need nothing but the model's logits: greedy, or random with at most min-p.

How it works: a row's vocabulary is divided into splits of a fixed size. The first kernel finds the
largest logit of each split, the second one the winner of each among scores with noise, which are
relative to the largest of the row, and the third one the winner of all. One launch could not
do it: no score is known before all logits have been read.

The noise is computed in registers and never written; torch makes 50 passes over memory for it.
"""

import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.noise import gumbel
from flamingo_pod.engine.kernels.rounding import EXACT
from flamingo_pod.engine.sampling.batch import PlainRows
from flamingo_pod.engine.sampling.results import NO_TOKEN

SPLIT_IDS = 4096
"""Of the published model's 151,672 ids: 38 programs for each row, and so not idle for one row."""
BLOCK = 1024
NUM_WARPS = 4
"""Eight values per thread, one load of 16 bytes in bfloat16; more would not fit into registers."""


@triton.jit
def _load(logits: tl.tensor, columns: tl.tensor, VOCABULARY: tl.constexpr) -> tl.tensor:
    """Return a row's logits in float32: +inf for NaN, as both are invalid, and -inf behind it."""
    values = tl.load(logits + columns, columns < VOCABULARY, other=float("-inf")).to(tl.float32)
    return tl.where(values == values, values, float("inf"))  # noqa: PLR0124 - not for NaN


@triton.jit
def _best(maxima: tl.tensor, NUM_SPLITS: tl.constexpr, BLOCK_SPLITS: tl.constexpr) -> tl.tensor:
    """Return the largest logit of a row, of which `maxima` are those of the splits."""
    split = tl.arange(0, BLOCK_SPLITS)
    return tl.max(tl.load(maxima + split, split < NUM_SPLITS, other=float("-inf")), axis=0)


@triton.jit(do_not_specialize_on_alignment=["maxima"])
def _split_maxima(
    logits: tl.tensor,
    maxima: tl.tensor,
    STRIDE: tl.constexpr,
    VOCABULARY: tl.constexpr,
    SPLIT_IDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, split = tl.program_id(0).to(tl.int64), tl.program_id(1)
    largest = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(0, SPLIT_IDS, BLOCK):
        columns = split * SPLIT_IDS + start + tl.arange(0, BLOCK)
        largest = tl.maximum(largest, _load(logits + row * STRIDE, columns, VOCABULARY))
    tl.store(maxima + row * tl.num_programs(1) + split, tl.max(largest, axis=0))


@triton.jit(
    do_not_specialize_on_alignment=["maxima", "keys", "temperatures", "floors", "values", "ids"]
)
def _split_winners(
    logits: tl.tensor,
    maxima: tl.tensor,
    keys: tl.tensor,
    temperatures: tl.tensor,
    floors: tl.tensor,
    values: tl.tensor,
    ids: tl.tensor,
    STRIDE: tl.constexpr,
    VOCABULARY: tl.constexpr,
    NUM_SPLITS: tl.constexpr,
    BLOCK_SPLITS: tl.constexpr,
    SPLIT_IDS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, split = tl.program_id(0).to(tl.int64), tl.program_id(1)
    best = _best(maxima + row * NUM_SPLITS, NUM_SPLITS, BLOCK_SPLITS)
    # An invalid row has no token, whatever is computed here.
    best = tl.where(tl.abs(best) < float("inf"), best, 0.0)
    key, floor = tl.load(keys + row), tl.load(floors + row)
    temperature = tl.load(temperatures + row)
    value = tl.full([BLOCK], float("-inf"), tl.float32)
    winner = tl.full([BLOCK], 0, tl.int32)
    for start in range(0, SPLIT_IDS, BLOCK):
        columns = split * SPLIT_IDS + start + tl.arange(0, BLOCK)
        found = _load(logits + row * STRIDE, columns, VOCABULARY)
        if temperature > 0.0:
            scores = tl.div_rn(found - best, temperature)
            found = tl.where(scores < floor, float("-inf"), gumbel(key, columns) + scores)
        # Ids ascend, so the least of equal ones stays.
        is_better = found > value
        value = tl.where(is_better, found, value)
        winner = tl.where(is_better, columns, winner)
    largest = tl.max(value, axis=0)
    at = row * NUM_SPLITS + split
    tl.store(values + at, largest)
    tl.store(ids + at, tl.min(tl.where(value == largest, winner, VOCABULARY), axis=0))


@triton.jit(do_not_specialize_on_alignment=["maxima", "values", "ids"])
def _combine_winners(
    maxima: tl.tensor,
    values: tl.tensor,
    ids: tl.tensor,
    tokens: tl.tensor,
    VOCABULARY: tl.constexpr,
    NUM_SPLITS: tl.constexpr,
    BLOCK_SPLITS: tl.constexpr,
    NO_TOKEN: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, BLOCK_SPLITS)
    is_split = split < NUM_SPLITS
    at = row * NUM_SPLITS + split
    value = tl.load(values + at, is_split, other=float("-inf"))
    winner = tl.load(ids + at, is_split, other=VOCABULARY)
    token = tl.min(tl.where(value == tl.max(value, axis=0), winner, VOCABULARY), axis=0)
    best = _best(maxima + row * NUM_SPLITS, NUM_SPLITS, BLOCK_SPLITS)
    is_valid = tl.abs(best) < float("inf")
    tl.store(tokens + row, tl.where(is_valid, token, NO_TOKEN).to(tl.int64))


def plain_tokens(logits: torch.Tensor, rows: PlainRows[torch.Tensor]) -> torch.Tensor:
    """Return the next token of each row, int64 `(rows,)`: what `sampling.plain.plain_tokens` does.

    `logits` are `(rows, vocabulary)` with adjacent columns, in float32, float16 or bfloat16. Three
    launches, whatever the rows are.
    """
    num_rows, vocabulary_size = logits.shape
    assert logits.stride(1) == 1
    tokens = torch.empty(num_rows, dtype=torch.int64, device=logits.device)
    if not num_rows:
        return tokens
    block = min(BLOCK, triton.next_power_of_2(vocabulary_size))
    split_ids = min(SPLIT_IDS, triton.cdiv(vocabulary_size, block) * block)
    num_splits = triton.cdiv(vocabulary_size, split_ids)
    shape = (num_rows, num_splits)
    maxima, values = torch.empty((2, *shape), dtype=torch.float32, device=logits.device)
    ids = torch.empty(shape, dtype=torch.int32, device=logits.device)
    of_row = {
        "VOCABULARY": vocabulary_size,
        "NUM_SPLITS": num_splits,
        "BLOCK_SPLITS": triton.next_power_of_2(num_splits),
        **EXACT,
    }
    of_split = {"SPLIT_IDS": split_ids, "BLOCK": block, "num_warps": NUM_WARPS}
    # A constant, so that the compiler knows that rows are aligned to 16 bytes.
    of_split["STRIDE"] = logits.stride(0)
    _split_maxima[shape](logits, maxima, VOCABULARY=vocabulary_size, **of_split, **EXACT)
    _split_winners[shape](logits, maxima, *rows, values, ids, **of_split, **of_row)
    _combine_winners[(num_rows,)](maxima, values, ids, tokens, NO_TOKEN=NO_TOKEN, **of_row)
    return tokens
