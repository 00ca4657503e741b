"""Have a file or a folder on the disk, so that it survives a power failure."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until the contents of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: it does not exist, or the disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
