"""Hide a torchaudio that cannot be imported, so that transformers can be.

torchaudio's wheels are built for one CUDA version; with a CPU build of torch, or another CUDA
version, importing it raises OSError or RuntimeError. transformers imports torchaudio wherever it
is installed, so even Music Flamingo's processor would fail to import. Only the log-mel on a GPU
uses torchaudio (`spectrum.py`), and torch does, too: a broken one is treated as not installed.
"""

import importlib
import importlib.util
import logging
import sys


def hide_if_broken() -> None:
    """Import torchaudio, if installed; hide it if that fails."""
    if importlib.util.find_spec("torchaudio") is None:
        return
    try:
        importlib.import_module("torchaudio")
    except Exception as error:  # noqa: BLE001 - whatever it is, transformers would fail on it
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        # Python's own way to make an import fail; find_spec then finds nothing.
        sys.modules["torchaudio"] = None  # type: ignore[assignment]
        message = "torchaudio is installed but cannot be imported; ignoring it: %s: %s"
        logging.getLogger(__name__).warning(message, type(error).__name__, error)
