"""Where a model runs, and on which devices it cannot."""

import pytest

from flamingo_pod.model.placement import (
    Gpu,
    Placement,
    choose_placement,
    fp8_unsupported_reason,
    unsupported_reason,
)

T4 = Gpu("Tesla T4", (7, 5))
A10 = Gpu("NVIDIA A10", (8, 6))
H200 = Gpu("NVIDIA H200", (9, 0))


@pytest.mark.parametrize(
    ("device", "dtype", "gpu", "chosen"),
    [
        ("auto", "auto", None, Placement("cpu", "float32")),
        ("auto", "auto", A10, Placement("cuda", "bfloat16")),
        ("cpu", "auto", A10, Placement("cpu", "float32")),
        ("cuda", "auto", None, Placement("cuda", "bfloat16")),
        ("auto", "float16", A10, Placement("cuda", "float16")),
        ("auto", "bfloat16", None, Placement("cpu", "bfloat16")),
    ],
)
def test_auto_uses_the_gpu_if_there_is_one(device, dtype, gpu, chosen):
    assert choose_placement(device, dtype, gpu) == chosen


@pytest.mark.parametrize("gpu", [A10, H200])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gpus_since_ampere_run_both_16_bit_types(gpu, dtype):
    assert unsupported_reason(Placement("cuda", dtype), gpu) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("gpu", [None, T4, A10])
def test_a_cpu_runs_every_type_whatever_gpu_there_is(dtype, gpu):
    assert unsupported_reason(Placement("cpu", dtype), gpu) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_older_gpu_is_refused_by_name(dtype):
    reason = unsupported_reason(Placement("cuda", dtype), T4)
    assert reason is not None
    for part in ("Tesla T4", "7.5", "8.0", "--device cpu"):
        assert part in reason
    assert "--dtype" not in reason, "no other type would help"


def test_float32_on_a_gpu_is_refused_with_what_is_supported():
    reason = unsupported_reason(Placement("cuda", "float32"), A10)
    assert reason is not None
    assert "float32" in reason
    assert "--dtype bfloat16 or float16" in reason


def test_a_missing_gpu_is_named():
    reason = unsupported_reason(Placement("cuda", "bfloat16"), None)
    assert reason is not None
    assert reason.startswith("no GPU found")


@pytest.mark.parametrize("capability", [(8, 9), (9, 0), (10, 0), (12, 0)])
def test_a_gpu_since_ada_and_a_cpu_compute_in_fp8(capability):
    assert fp8_unsupported_reason(Gpu("NVIDIA L4", capability)) is None
    assert fp8_unsupported_reason(None) is None


@pytest.mark.parametrize("capability", [(8, 0), (8, 6)])
def test_an_older_gpu_does_not_and_the_reason_says_what_to_do(capability):
    reason = fp8_unsupported_reason(Gpu("NVIDIA A10", capability))
    assert reason is not None
    assert f"has compute capability 8.{capability[1]}, and FP8 weights need 8.9" in reason
    assert reason.endswith("serve a checkpoint that is not quantized, without --quantization")
