"""Quantizing activations by Triton, value by value as torch does."""

import os
import subprocess
import sys

import pytest
import torch

from flamingo_pod.model import fp8, fp8_kernel

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPES = [(0, 64), (1, 16), (3, 100), (2, 2048), (5, 5000), (1, 18944)]


def random_rows(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)


def assert_equal(found, expected):
    assert torch.equal(found.scale, expected.scale)
    assert torch.equal(found.data.float(), expected.data.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_torch_returns(shape, dtype):
    rows = random_rows(*shape, dtype=dtype)
    assert_equal(fp8_kernel.quantize(rows), fp8.quantize(rows))


def test_so_are_values_between_two_of_fp8_and_the_smallest_ones():
    values = torch.arange(-448, 449, 0.5, device=DEVICE)
    small = torch.arange(-40, 41, device=DEVICE) * 2.0**-11
    rows = torch.cat([values, small, torch.tensor([448.0], device=DEVICE)])[None]
    assert_equal(fp8_kernel.quantize(rows), fp8.quantize(rows))


def test_so_are_rows_of_every_size_and_of_zeros():
    rows = random_rows(6, 64) * torch.tensor([[1e-20], [1e-6], [0.0], [1.0], [1e6], [1e30]])
    assert_equal(fp8_kernel.quantize(rows.to(DEVICE)), fp8.quantize(rows.to(DEVICE)))


def test_rows_may_be_apart_or_transposed():
    wide = random_rows(4, 128)
    assert_equal(fp8_kernel.quantize(wide[:, :64]), fp8.quantize(wide[:, :64]))
    assert_equal(fp8_kernel.quantize(wide.T), fp8.quantize(wide.T))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("column", [0, 2500])
def test_a_value_that_is_not_finite_makes_the_scale_of_its_row_nan(value, column):
    rows = random_rows(3, 3000)
    expected = fp8.quantize(rows).scale
    rows[1, column] = value
    scale = fp8_kernel.quantize(rows).scale
    assert scale[1].isnan()
    assert torch.equal(scale[[0, 2]], expected[[0, 2]])


def test_the_product_can_read_the_scales_of_whole_tiles():
    scale = fp8_kernel.quantize(random_rows(3, 64)).scale
    assert scale.untyped_storage().nbytes() >= 256 * 4
    assert scale.is_contiguous()


def test_the_check_before_its_use_is_passed():
    assert fp8.agrees(fp8_kernel.quantize, DEVICE)


COMPILE = """
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from flamingo_pod.model import fp8_kernel

constants = {"WIDTH": 18944, "BLOCK": fp8_kernel.BLOCK, "MAX": fp8_kernel.MAX}
constants |= {"MIN_SCALE": fp8_kernel.MIN_SCALE, "LARGEST": fp8_kernel.LARGEST}
types = {"rows": "*bf16", "data": "*fp8e4nv", "scales": "*fp32", "stride": "i32"}
source = ASTSource(
    fp8_kernel._quantize, types | dict.fromkeys(constants, "constexpr"), constexprs=constants
)
options = {"num_warps": fp8_kernel.NUM_WARPS, "enable_fp_fusion": False}
target = GPUTarget("cuda", int(sys.argv[1]), 32)
print(triton.compile(source, target=target, options=options).asm["ptx"])
"""


@pytest.mark.parametrize("capability", ["89", "90"])
def test_it_compiles_for_gpus_with_the_rounding_of_torch(capability):
    environ = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE, capability]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cvt.rn.satfinite.e4m3x2.f32" in done.stdout
    assert "div.rn.f32" in done.stdout
    assert "div.full" not in done.stdout
