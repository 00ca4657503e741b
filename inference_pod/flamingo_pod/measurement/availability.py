"""Whether this installation can measure, without importing what measures."""

import functools
import importlib.util

EXTRA = "measure"
PACKAGES = ("librosa", "numba")


@functools.cache
def is_installed() -> bool:
    """Return whether the packages of the extra `measure` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)
