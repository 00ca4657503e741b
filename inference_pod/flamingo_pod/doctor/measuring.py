"""Check whether tempo, key and loudness can be measured here, which is optional."""

import importlib
import os
import tempfile
from importlib import metadata

from flamingo_common.service import extras
from flamingo_common.service.checks import Check, ok, warning
from flamingo_pod.measurement import availability, compiled_code

NAME = "measure"
BROKEN = (ImportError, OSError, RuntimeError)


def check() -> Check:
    """Return a check of the extra `measure`, whose packages are imported."""
    if not availability.is_installed():
        return ok(NAME, f"not installed, not needed; {extras.advice(availability.EXTRA)}")
    folder: tempfile.TemporaryDirectory[str] | None = None
    try:
        folder = compiled_code.create_folder()
        compiled_code.set_variables(os.environ, None if folder is None else folder.name)
        for name in availability.PACKAGES:  # without what compiles: it would take 25 s
            importlib.import_module(name)
    except BROKEN as error:
        message = " ".join(str(error).split())[:120]
        return warning(NAME, f"librosa cannot be used: {message}", _advice(error))
    finally:
        if folder is not None:
            folder.cleanup()
    return ok(NAME, f"librosa {metadata.version('librosa')}, numba {metadata.version('numba')}")


def _advice(error: Exception) -> str:
    if isinstance(error, ImportError):
        return extras.advice(availability.EXTRA)
    return "set NUMBA_CACHE_DIR to a folder that can be written to"
