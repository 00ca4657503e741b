"""Which implementation computes the decoder layers, and that each gives the same tokens."""

from dataclasses import dataclass

import pytest
import torch
from engine.options import engine_options
from engine.test_core import Case, drain, sound

from flamingo_common.service.checks import Status
from flamingo_pod.doctor import kernels
from flamingo_pod.engine.core import EngineCore
from flamingo_pod.engine.model_runner import backends
from flamingo_pod.engine.model_runner.create_runner import choose_backend


@dataclass
class Result:
    kernel: str
    largest_error: float = 0.0
    limit: float = 1e-3
    failure: str | None = None

    @property
    def is_ok(self):
        return self.largest_error <= self.limit


def test_kernels_that_agree_with_torch_are_used():
    chosen = backends.judge([Result("silu_mul"), Result("add_rms_norm", 1e-4)])
    assert chosen == backends.BackendChoice("triton", "all kernels agree with torch")


def test_one_kernel_that_disagrees_is_enough_to_use_torch():
    chosen = backends.judge([Result("silu_mul"), Result("decode_attention", 0.25)])
    assert chosen.name == "torch"
    assert chosen.reason == (
        "the kernel decode_attention differs from torch by 2.5e-01, and at most 1.0e-03 is allowed"
    )


def test_every_kernel_that_fails_is_named():
    results = [
        Result("silu_mul", torch.inf, failure="no compiler"),
        Result("add_rms_norm", torch.inf, failure="no compiler"),
    ]
    reason = backends.judge(results).reason
    assert "silu_mul failed: no compiler" in reason
    assert "add_rms_norm failed: no compiler" in reason


def test_the_doctor_warns_where_a_pod_would_not_use_the_kernels():
    assert kernels.describe(backends.judge([Result("silu_mul")])).status is Status.OK
    check = kernels.describe(backends.judge([Result("silu_mul", 0.5)]))
    assert check.status is Status.WARNING
    assert "the kernel silu_mul differs from torch by 5.0e-01" in check.message


@pytest.mark.parametrize(
    ("model_impl", "reason"),
    [
        ("fused", "the device is cpu, and Triton is for GPUs"),
        ("transformers", "the model implementation is transformers"),
    ],
)
def test_a_cpu_and_transformers_modules_use_torch(tiny, model_impl, reason):
    options = engine_options(model_impl=model_impl)
    assert choose_backend(tiny, options) == backends.BackendChoice("torch", reason)
    core = EngineCore(tiny, options)
    assert core.backend.reason == reason
    assert core.runner.graphs is None
    case = Case(tiny, sound(3), num_tokens=4).submit(core)
    drain(core)
    assert case.tokens == case.expected()
