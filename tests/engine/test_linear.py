import pytest
import torch
from torch.nn import functional

from flamingo_pod.model import linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(1, 64), (7, 64), (2, 5, 64), (300, 64)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_it_equals_torchs_own_product(dtype, shape, has_bias):
    torch.manual_seed(0)
    rows, weight = torch.randn(shape, dtype=dtype), torch.randn(96, 64, dtype=dtype)
    bias = torch.randn(96, dtype=dtype) if has_bias else None
    ours, theirs = linear.linear(rows, weight, bias), functional.linear(rows, weight, bias)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < (1e-4 if dtype == torch.float32 else 1e-9)


def test_a_weight_may_be_a_view_of_another():
    torch.manual_seed(0)
    fused, rows = torch.randn(96, 64), torch.randn(5, 64)
    part = fused[32:64]
    assert torch.allclose(linear.linear(rows, part, None), rows @ part.T, atol=1e-4)


def test_rows_may_be_non_contiguous():
    torch.manual_seed(0)
    rows, weight = torch.randn(64, 9).T, torch.randn(96, 64)
    assert torch.allclose(linear.linear(rows, weight, None), rows @ weight.T, atol=1e-4)


def test_this_build_of_torch_has_the_faster_kernel():
    # If a release takes it away, the engine works on and is half as fast: then look for its heir.
    assert linear.HAS_ONEDNN
