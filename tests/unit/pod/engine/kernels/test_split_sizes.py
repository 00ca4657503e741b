import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.kernels.split_sizes import (
    SPLIT_COUNTS,
    processors_of_splits,
    split_sizes,
)


@given(
    rows=st.integers(1, 5000),
    kv_heads=st.integers(1, 64),
    bytes_per_head=st.sampled_from([32, 64, 128, 256, 512, 1024]),
    processors=st.integers(1, 300),
)
def test_sizes_are_powers_of_two_within_their_limits(rows, kv_heads, bytes_per_head, processors):
    sizes = split_sizes(rows, kv_heads, bytes_per_head, processors)
    assert sizes.num_splits in SPLIT_COUNTS
    assert 16 <= sizes.block_tokens <= 128
    for size in (sizes.num_splits, sizes.block_tokens):
        assert size & (size - 1) == 0


@pytest.mark.parametrize(("rows", "num_splits"), [(1, 64), (8, 32), (32, 8), (256, 8)])
def test_a_small_batch_is_split_more_often(rows, num_splits):
    assert split_sizes(rows, 4, 256, 132).num_splits == num_splits


@pytest.mark.parametrize("num_splits", SPLIT_COUNTS)
@pytest.mark.parametrize(("rows", "kv_heads"), [(1, 1), (5, 1), (3, 4)])
def test_every_number_of_splits_is_that_of_some_device(num_splits, rows, kv_heads):
    processors = processors_of_splits(num_splits, rows, kv_heads)
    assert split_sizes(rows, kv_heads, 256, processors).num_splits == num_splits


@pytest.mark.parametrize(("bytes_per_head", "block"), [(32, 128), (256, 64), (512, 32)])
def test_a_tile_has_the_same_size_whatever_the_width(bytes_per_head, block):
    assert split_sizes(1, 4, bytes_per_head, 132).block_tokens == block
