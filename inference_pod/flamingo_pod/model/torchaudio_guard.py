"""Keep a torchaudio that cannot be imported from taking transformers with it.

torchaudio's wheels are built for one CUDA; beside a CPU torch, or a newer CUDA's, its
import ends in OSError or RuntimeError. transformers imports it wherever it is
installed, so that not even the processor of Music Flamingo could be. Nothing here
needs torchaudio, so a broken one is made to look as if it were not installed.
"""

import importlib
import importlib.util
import logging
import sys


def hide_if_broken() -> None:
    """Import torchaudio, if there is one; hide it where that fails."""
    if importlib.util.find_spec("torchaudio") is None:
        return
    try:
        importlib.import_module("torchaudio")
    except Exception as error:  # noqa: BLE001 - whatever it is, transformers would fall over it
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        # Python's own way to say that an import must fail; find_spec then finds nothing.
        sys.modules["torchaudio"] = None  # type: ignore[assignment]
        told = "torchaudio is installed and cannot be imported; it is left out: %s: %s"
        logging.getLogger(__name__).warning(told, type(error).__name__, error)
