"""The libraries that hold the model, and the one that breaks them where it cannot be imported."""

import importlib
import importlib.util
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from flamingo_common.service.checks import Check, failed, ok

WATCHED = ("torch", "transformers")


def checks() -> Iterator[Check]:
    """Yield one check for each library."""
    for name in WATCHED:
        yield _version(name)
    yield _torchaudio()


def _version(name: str) -> Check:
    version = metadata.version(name)
    needed = _needed(name)
    if not needed.specifier.contains(version, prereleases=True):
        advice = f"pip install '{name}{needed.specifier}'"
        return failed(name, f"{version} is too old for this server", advice)
    return ok(name, version)


def _needed(name: str) -> Requirement:
    wanted = (Requirement(text) for text in metadata.requires("flamingo-fleet") or ())
    return next(each for each in wanted if each.name == name)


def _torchaudio() -> Check:
    """Look whether transformers would trip over it: it imports what it finds."""
    if importlib.util.find_spec("torchaudio") is None:
        return ok("torchaudio", "not installed, and not needed")
    try:
        module = importlib.import_module("torchaudio")
    except (OSError, ImportError, RuntimeError) as error:
        message = " ".join(str(error).split())[:120]
        return failed(
            "torchaudio",
            f"is installed but cannot be imported: {message}",
            "pip uninstall torchaudio (it is for CUDA builds of torch; transformers fails with it)",
        )
    return ok("torchaudio", str(module.__version__))
