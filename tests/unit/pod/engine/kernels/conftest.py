"""The kernels run compiled on a GPU, and in Triton's interpreter elsewhere: tests/conftest.py."""

import importlib.util
import os

import pytest
import torch

if importlib.util.find_spec("triton") is None and os.environ.get("FLAMINGO_REQUIRE_ALL") != "1":
    collect_ignore_glob = ["test_*.py"]  # Triton is only published for Linux

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCES = {
    torch.float32: (2e-6, 2e-6),
    torch.float16: (2e-3, 1e-3),
    torch.bfloat16: (1.6e-2, 8e-3),
}
"""Relative and absolute: two units in the last place."""


@pytest.fixture(params=TOLERANCES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request):
    return request.param


class RandomTensors:
    """Seeded tensors on the device where the kernels run."""

    def __init__(self, dtype):
        self.dtype = dtype
        self._generator = torch.Generator().manual_seed(0)

    def normal(self, *shape):
        return torch.randn(shape, generator=self._generator).to(DEVICE, self.dtype)

    def strided(self, rows, width):
        """Return rows that are not adjacent."""
        return self.normal(rows, width + 8)[:, :width]

    def integers(self, values):
        return torch.tensor(values, dtype=torch.int32, device=DEVICE)

    def unwritten(self, *shape):
        return torch.full(shape, torch.nan, dtype=self.dtype, device=DEVICE)


@pytest.fixture
def random(dtype):
    return RandomTensors(dtype)


@pytest.fixture
def check_close(dtype):
    def check(result, expected):
        relative, absolute = TOLERANCES[dtype]
        torch.testing.assert_close(result, expected, rtol=relative, atol=absolute, equal_nan=True)

    return check


@pytest.fixture
def check_rounding(dtype, check_close):
    """Check that a result is rounded where torch rounds, else a quarter of its values differ."""

    def check(result, expected):
        check_close(result, expected)
        if dtype != torch.float32:
            is_different = (result != expected) & ~(result.isnan() & expected.isnan())
            assert is_different.float().mean() < 0.01

    return check
