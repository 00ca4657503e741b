"""Kernels run compiled on a GPU, and in Triton's interpreter elsewhere: tests/conftest.py."""

import importlib.util
import os

if importlib.util.find_spec("triton") is None and os.environ.get("FLAMINGO_REQUIRE_ALL") != "1":
    collect_ignore = ["test_fp8_kernel.py"]  # Triton is only published for Linux
