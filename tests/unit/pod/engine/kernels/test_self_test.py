import math

import pytest
import torch

from flamingo_pod.engine.kernels.self_test import (
    CASES,
    FP8_CASES,
    KernelCheck,
    KernelDimensions,
    check_kernels,
    kernel_dimensions,
    relative_error,
)
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
from flamingo_pod.model.dimensions import PUBLISHED

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TINY = BUILTIN_MODELS["flamingo-tiny"]
DIMENSIONS = KernelDimensions(
    TINY.hidden,
    TINY.intermediate,
    num_heads=TINY.heads,
    num_kv_heads=TINY.kv_heads,
    head_width=TINY.hidden // TINY.heads,
    eps=1e-6,
    vocabulary=300,
)


def test_all_kernels_agree_with_their_references(dtype):
    checks = check_kernels(DIMENSIONS, DEVICE, dtype)
    assert [check.kernel for check in checks] == [name for name, _ in CASES]
    assert [check for check in checks if not check.is_ok or check.failure] == []


def test_so_do_those_that_write_fp8():
    checks = check_kernels(DIMENSIONS, DEVICE, torch.bfloat16, is_fp8=True)
    assert [check.kernel for check in checks] == [name for name, _ in (*CASES, *FP8_CASES)]
    assert [check for check in checks if not check.is_ok or check.failure] == []


def test_dimensions_that_a_kernel_cannot_do_are_failures_and_no_exceptions():
    dimensions = KernelDimensions(
        64, 128, num_heads=4, num_kv_heads=2, head_width=24, eps=1e-6, vocabulary=300
    )
    checks = {check.kernel: check for check in check_kernels(dimensions, DEVICE, torch.float32)}
    assert not checks["decode_attention"].is_ok
    assert checks["decode_attention"].failure.startswith("AssertionError")
    assert checks["silu_mul"].is_ok


def test_the_published_model_gives_its_widths():
    found = kernel_dimensions(PUBLISHED)
    assert (found.hidden, found.intermediate, found.head_width) == (3584, 18944, 128)
    assert (found.num_heads, found.num_kv_heads) == (28, 4)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ([4.0, -2.0], 0.0),
        ([4.0, -1.0], 0.25),
        ([4.0, math.nan], math.inf),
        ([4.0, math.inf], math.inf),
    ],
)
def test_an_error_is_relative_to_the_largest_value(result, error):
    found = relative_error(torch.tensor(result), torch.tensor([4.0, -2.0]))
    assert found == error or (math.isinf(error) and found > 1e30)


@pytest.mark.parametrize(("error", "is_ok"), [(0.1, True), (0.2, False), (math.inf, False)])
def test_a_kernel_is_used_up_to_its_limit(error, is_ok):
    assert KernelCheck("one", error, limit=0.1).is_ok is is_ok
