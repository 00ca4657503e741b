import pytest
import torch

from flamingo_pod.engine.kernels import reference
from flamingo_pod.engine.kernels.activation import silu_mul, silu_mul_fp8
from flamingo_pod.model import fp8


@pytest.mark.parametrize("shape", [(1, 128), (3, 1408), (2, 1025), (40, 3)])
def test_it_equals_the_reference(random, check_rounding, shape):
    gate_up = random.strided(shape[0], 2 * shape[1]) * 3
    check_rounding(silu_mul(gate_up), reference.silu_mul(gate_up))


@pytest.mark.filterwarnings("ignore:overflow")  # numpy's, in the interpreter
def test_large_gates_neither_overflow_nor_become_nan(random, check_close):
    ones = torch.ones_like(random.normal(1, 4))
    gate = ones * torch.tensor([-1e4, -80.0, 80.0, 1e4]).to(ones)
    check_close(silu_mul(torch.cat([gate, ones], dim=1)), torch.where(gate > 0, gate, 0.0 * gate))


@pytest.mark.parametrize("width", [16, 100, 2048, 5000])
def test_in_fp8_it_is_the_product_quantized(random, width):
    gate_up = random.strided(3, 2 * width)
    found, expected = silu_mul_fp8(gate_up), fp8.quantize(silu_mul(gate_up))
    assert torch.equal(found.scale, expected.scale)
    assert torch.equal(found.data.float(), expected.data.float())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_row_that_is_not_finite_gets_a_scale_of_nan_and_the_others_do_not(random, value):
    gate_up = random.normal(3, 5000)
    gate_up[1, 2499] = value
    scale = silu_mul_fp8(gate_up).scale
    assert scale.isnan().flatten().tolist() == [False, True, False]
