"""Check the libraries that run the model, and torchaudio, which can break them."""

import importlib
import importlib.util
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from flamingo_common.service.checks import Check, failed, ok

LIBRARIES = ("torch", "transformers")


def checks() -> Iterator[Check]:
    """Yield one check per library."""
    for name in LIBRARIES:
        yield _version(name)
    yield _torchaudio()


def _version(name: str) -> Check:
    version = metadata.version(name)
    requirement = _requirement(name)
    if not requirement.specifier.contains(version, prereleases=True):
        advice = f"pip install '{name}{requirement.specifier}'"
        return failed(
            name, f"{version} is not supported; required: {requirement.specifier}", advice
        )
    return ok(name, version)


def _requirement(name: str) -> Requirement:
    requirements = (Requirement(text) for text in metadata.requires("flamingo-fleet") or ())
    return next(each for each in requirements if each.name == name)


def _torchaudio() -> Check:
    """Check that it can be imported: transformers imports it if it is installed."""
    if importlib.util.find_spec("torchaudio") is None:
        return ok("torchaudio", "not installed, not needed")
    try:
        module = importlib.import_module("torchaudio")
    except (OSError, ImportError, RuntimeError) as error:
        message = " ".join(str(error).split())[:120]
        return failed(
            "torchaudio",
            f"installed, but its import fails: {message}",
            "pip uninstall torchaudio (it needs a CUDA build of torch; transformers fails with it)",
        )
    return ok("torchaudio", str(module.__version__))
