"""Copies between host and device keep every value, type and shape."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flamingo_pod.engine.device.transfer import HostCopy, to_device

CPU = torch.device("cpu")
kinds = st.sampled_from([np.int64, np.float64, np.float32, np.uint8])
some_arrays = st.lists(
    arrays.arrays(kinds, arrays.array_shapes(max_dims=2, min_side=0, max_side=5)), max_size=6
)


@given(some_arrays)
def test_arrays_arrive_as_they_are(sent):
    for array, tensor in zip(sent, to_device(sent, CPU), strict=True):
        if array.size:
            assert tensor.numpy().dtype == array.dtype
            np.testing.assert_array_equal(tensor.numpy(), array)
        else:
            assert tensor.numel() == 0


def test_all_arrays_are_copied_at_once():
    one, other = to_device([np.arange(3), np.zeros((2, 2), np.float32)], CPU)
    assert one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def test_a_copy_to_the_host_keeps_integers_floats_and_flags():
    ids = torch.tensor([5, -1, 2**62])
    values = torch.tensor([[0.1, -torch.inf], [1e-45, 3.4e38]])
    flags = torch.tensor([True, False])
    read = HostCopy([ids, flags, values]).wait()
    assert read[0].tolist() == ids.tolist()
    assert read[1].tolist() == [1, 0]
    assert read[2].tolist() == values.tolist()


def test_what_is_written_behind_a_copy_does_not_change_it():
    ids = torch.tensor([5, 6])
    copy = HostCopy([ids])
    ids.zero_()
    (read,) = copy.wait()
    assert read.tolist() == [5, 6]
