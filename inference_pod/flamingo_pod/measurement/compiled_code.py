"""Where numba, the compiler that librosa brings, keeps compiled code.

Compiling takes 25 s of CPU time, loading what was compiled 3 s. By default numba writes beside
librosa's own files, and fails where it cannot: in an image they are another user's, or the
filesystem is read-only. An image therefore has compiled code (`python -m flamingo_pod.measurement`
writes it when the image is built), which each pod copies to a folder of its own, since numba uses
only folders that it can write to.

Code is compiled for any processor of the architecture: an image is built on another machine, and
the loops are few.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

FOLDER_VARIABLE, PROCESSOR_VARIABLE = "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME"
IN_IMAGE = Path(sys.prefix) / "share" / "flamingo" / "numba"


def create_folder() -> "tempfile.TemporaryDirectory[str] | None":
    """Return a folder for compiled code, with what the image has; None if numba needs none.

    Raises:
        OSError: no folder for temporary files can be written to.
    """
    if os.environ.get(FOLDER_VARIABLE) or (not IN_IMAGE.is_dir() and _is_beside_librosa()):
        return None
    return private_folder()


def private_folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a new folder, which is removed with the object, with what the image has."""
    folder = tempfile.TemporaryDirectory(prefix="flamingo-numba-")
    if IN_IMAGE.is_dir():
        shutil.copytree(IN_IMAGE, folder.name, dirs_exist_ok=True)
    return folder


def _is_beside_librosa() -> bool:
    """Return whether numba can keep its code in librosa's folder."""
    spec = importlib.util.find_spec("librosa")
    return (
        spec is not None
        and spec.origin is not None
        and os.access(Path(spec.origin).parent, os.W_OK)
    )


def set_variables(environ: MutableMapping[str, str], folder: str | None) -> None:
    """Set what numba reads when it is imported."""
    environ.setdefault(PROCESSOR_VARIABLE, "generic")
    if folder is not None:
        environ[FOLDER_VARIABLE] = folder
