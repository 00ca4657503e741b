import pytest
import torch

from flamingo_pod.engine.kernels import reference
from flamingo_pod.engine.kernels.decode_attention import decode_attention, decode_attention_fp8
from flamingo_pod.model import fp8

HEADS = [(4, 2, 16), (4, 1, 128), (3, 1, 32), (2, 2, 64), (20, 1, 16)]
"""Query heads, KV heads, width."""
RUNS = [
    (0, 0, 0, 0),
    (7, 1, 0, 0),
    (0, 0, 9, 1),
    (20, 3, 40, 5),
    (10, 60, 400, 128),
    (600, 129, 20, 400),  # the tail may be before the prefix
    (0, 0, 100, 500),
]
NUM_TOKENS = 800


def pool_with(random, runs, num_kv, width):
    """Return keys and values that are NaN where no row may read."""
    pool = random.unwritten(2, NUM_TOKENS, num_kv, width)
    for prefix_start, prefix_len, tail_start, tail_len in runs:
        for start, length in ((prefix_start, prefix_len), (tail_start, tail_len)):
            pool[:, start : start + length] = random.normal(2, length, num_kv, width)
    return pool[0], pool[1]


@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_it_equals_the_reference_whatever_the_runs(random, check_close, heads):
    num_heads, num_kv, width = heads
    kv = pool_with(random, RUNS, num_kv, width)
    queries = random.normal(len(RUNS), num_heads, width)
    arguments = queries, kv, random.integers(RUNS), width**-0.5
    result = decode_attention(*arguments)
    assert result.shape == queries.shape
    assert result.isfinite().all()
    check_close(result, reference.decode_attention(*arguments))


def test_music_flamingos_heads_fit(random, check_close):
    runs = RUNS[4:5]
    arguments = (
        random.normal(1, 28, 128),
        pool_with(random, runs, 4, 128),
        random.integers(runs),
        128**-0.5,
    )
    check_close(decode_attention(*arguments), reference.decode_attention(*arguments))


def test_a_row_without_tokens_is_zero(random):
    kv = random.unwritten(2, 8, 1, 16)
    runs = random.integers([(0, 0, 0, 0), (3, 0, 5, 0)])
    result = decode_attention(random.normal(2, 4, 16), (kv[0], kv[1]), runs, 0.25)
    assert torch.equal(result, torch.zeros_like(result))


@pytest.mark.parametrize("num_processors", [1, 16, 132])
def test_the_number_of_splits_changes_nothing(random, check_close, num_processors):
    runs = RUNS[4:6]
    kv, queries = pool_with(random, runs, 1, 16), random.normal(2, 2, 16)
    arguments = queries, kv, random.integers(runs), 0.25
    result = decode_attention(*arguments, num_processors)
    check_close(result, reference.decode_attention(*arguments))


def test_two_runs_are_one_softmax_as_if_they_were_adjacent(random):
    kv = pool_with(random, [(0, 300, 0, 0)], 2, 16)
    moved = random.unwritten(2, NUM_TOKENS, 2, 16)
    for source, target in zip(kv, moved, strict=True):
        target[500:600], target[10:210] = source[:100], source[100:300]
    queries = random.normal(1, 4, 16)
    together = decode_attention(queries, kv, random.integers([(0, 300, 0, 0)]), 0.25)
    runs = random.integers([(500, 100, 10, 200)])
    assert torch.equal(decode_attention(queries, (moved[0], moved[1]), runs, 0.25), together)


def test_rows_do_not_depend_on_their_neighbours(random):
    kv, queries = pool_with(random, RUNS, 1, 16), random.normal(len(RUNS), 2, 16)
    runs = random.integers(RUNS)
    together = decode_attention(queries, kv, runs, 0.25, 1)
    alone = decode_attention(queries[5:6], kv, runs[5:6], 0.25, 1)
    assert torch.equal(together[5:6], alone)


def test_inputs_may_be_strided(random, check_close):
    runs = RUNS[3:5]
    keys, values = pool_with(random, runs, 2, 16)
    packed = random.normal(2, 7 * 16 + 8)
    queries = packed[:, : 4 * 16].unflatten(1, (4, 16))
    # Heads before tokens, and one layer of several.
    by_head = keys.transpose(0, 1).contiguous().transpose(0, 1)
    layers = torch.stack([values * torch.nan, values])
    arguments = queries, (by_head, layers[1]), random.integers(runs), 0.25
    check_close(decode_attention(*arguments), reference.decode_attention(*arguments))


def test_large_scores_do_not_overflow(random, check_close):
    kv = pool_with(random, RUNS[3:4], 1, 16)
    arguments = random.normal(1, 1, 16) * 40, kv, random.integers(RUNS[3:4]), 1.0
    check_close(decode_attention(*arguments), reference.decode_attention(*arguments))


@pytest.mark.parametrize("dtype", [torch.float16])
def test_offsets_may_exceed_32_bits(random):
    far, near = 2**31 // 16, random.normal(8, 1, 16)
    # 4 GiB that take no memory, since nothing else is read.
    pool = torch.empty(far + 8, 1, 16, dtype=random.dtype, device=near.device)
    pool[far:] = near
    queries, runs = random.normal(1, 2, 16), random.integers([(1, 3, 6, 2)])
    expected = decode_attention(queries, (near, near), runs, 0.25)
    far_runs = runs + random.integers([far, 0, far, 0])
    assert torch.equal(decode_attention(queries, (pool, pool), far_runs, 0.25), expected)


@pytest.mark.parametrize("num_processors", [1, 132])
def test_in_fp8_it_is_the_reference_with_a_scale_that_no_value_exceeds(random, num_processors):
    kv, queries = pool_with(random, RUNS, 2, 64), random.normal(len(RUNS), 4, 64)
    arguments = queries, kv, random.integers(RUNS), 0.125
    found = decode_attention_fp8(*arguments, num_processors)
    expected = reference.decode_attention(*arguments).float().flatten(1)
    largest = expected.abs().amax(1, keepdim=True)
    assert (found.scale * fp8.MAX >= largest * 0.99).all()
    assert (found.scale[0], found.data[0].float().any()) == (torch.tensor(fp8.MIN_SCALE), False)
    # Half a unit in the last of three places, and the smallest that a value can be.
    tolerance = expected.abs() * 2.0**-4 + found.scale * 2.0**-9 + largest * 0.01
    assert ((fp8.dequantize(found) - expected).abs() <= tolerance).all()


def test_a_row_that_is_not_finite_gets_a_scale_of_nan_and_the_others_do_not(random):
    kv = pool_with(random, RUNS[1:3], 1, 16)
    kv[1][7, 0, 3] = torch.inf
    arguments = random.normal(2, 2, 16), kv, random.integers(RUNS[1:3]), 0.25
    scale = decode_attention_fp8(*arguments).scale
    assert scale.isnan().flatten().tolist() == [True, False]
