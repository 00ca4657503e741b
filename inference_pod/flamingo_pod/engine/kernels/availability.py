"""Whether Triton can be imported here; the kernels themselves can only be imported where it can."""

import functools
import importlib


@functools.cache
def import_failure() -> str | None:
    """Return why Triton cannot be imported, or None if it can.

    On CUDA, torch brings Triton. A build of torch for CPUs has none, and an installed Triton fails
    to import where its compiled library does not match the machine.
    """
    try:
        importlib.import_module("triton.language")
    except Exception as error:  # noqa: BLE001 - whatever it is, there are no kernels
        return f"{type(error).__name__}: {error}"
    return None
