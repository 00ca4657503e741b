import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.rounding import EXACT, product, round_to

NUM_VALUES = 4096
SIZE = 16


@triton.jit
def round_all(values, rounded, count: tl.constexpr):
    index = tl.arange(0, count)
    loaded = tl.load(values + index)
    tl.store(rounded + index, round_to(loaded, rounded.dtype.element_ty))


@triton.jit
def multiply(left, right, result, count: tl.constexpr):
    at = tl.arange(0, count)[:, None] * count + tl.arange(0, count)[None, :]
    tl.store(result + at, product(tl.load(left + at), tl.load(right + at)))


def test_it_rounds_as_torch_does(random, dtype):
    values = random.normal(NUM_VALUES).float() * 100
    values[:4] = torch.tensor([torch.inf, -torch.inf, 0.0, torch.nan])
    # Halfway between two values of bfloat16, and of float16: to the even one.
    values[4:8] = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11])
    rounded = torch.empty_like(values, dtype=dtype)
    round_all[(1,)](values, rounded, count=NUM_VALUES, **EXACT)
    torch.testing.assert_close(rounded, values.to(dtype), rtol=0, atol=0, equal_nan=True)


def test_products_of_numbers_are_exact_for_the_dtype(random):
    left, right = random.normal(SIZE, SIZE), random.normal(SIZE, SIZE)
    result = torch.empty_like(left, dtype=torch.float32)
    multiply[(1,)](left, right, result, count=SIZE, **EXACT)
    # TF32 would be wrong in the third digit, and so would a sum in bfloat16.
    expected = (left.double() @ right.double()).float()
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
