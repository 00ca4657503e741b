"""Which recorded size a batch takes, and what its padding does."""

import numpy as np
import pytest

from flamingo_pod.engine.model_runner import buckets
from flamingo_pod.engine.model_runner.batch import Batch


def array(*values):
    return np.array(values, dtype=np.int32)


DECODING = Batch(
    token_ids=array(7, 8, 9),
    positions=array(10, 4, 0),
    slots=array(110, 54, 20),
    row_starts=array(0, 1, 2, 3),
    runs=array((100, 11, 0, 0), (10, 2, 52, 3), (20, 1, 0, 0)),
    sampled_rows=array(0, 1, 2),
)


@pytest.mark.parametrize(("num_rows", "bucket"), [(1, 1), (3, 4), (9, 16), (64, 64), (256, 256)])
def test_a_batch_takes_the_least_bucket_that_has_room(num_rows, bucket):
    assert buckets.bucket_of(num_rows) == bucket


def test_a_batch_may_be_too_large_for_all():
    assert buckets.bucket_of(257) is None


@pytest.mark.parametrize("num_rows", [1, 2, 3, 64, 65, 256, 1000])
def test_the_buckets_up_to_a_size_have_room_for_it_where_any_has(num_rows):
    found = buckets.up_to(num_rows)
    assert found[-1] == (buckets.bucket_of(num_rows) or buckets.BUCKETS[-1])


def test_padding_keeps_the_rows_and_adds_rows_of_the_trash_slot():
    padded = buckets.padded(DECODING, 4, trash_slot=999)
    assert padded.token_ids.tolist() == [7, 8, 9, 0]
    assert padded.positions.tolist() == [10, 4, 0, 0]
    assert padded.slots.tolist() == [110, 54, 20, 999]
    assert padded.row_starts.tolist() == [0, 1, 2, 3, 4]
    assert padded.runs.tolist() == [*DECODING.runs.tolist(), [999, 1, 0, 0]]
    assert padded.sampled_rows.tolist() == [0, 1, 2, 3]


def test_a_batch_of_padded_rows_only():
    assert buckets.unused(2, trash_slot=5).slots.tolist() == [5, 5]
    assert buckets.is_decoding_only(buckets.unused(2, trash_slot=5))


def test_a_batch_that_prefills_is_not_decoding_only():
    assert buckets.is_decoding_only(DECODING)
    prefill = Batch(
        token_ids=array(1, 2, 3),
        positions=array(0, 1, 2),
        slots=array(0, 1, 2),
        row_starts=array(0, 3),
        runs=array((0, 3, 0, 0)).reshape(1, 4),
        sampled_rows=array(2),
    )
    assert not buckets.is_decoding_only(prefill)
