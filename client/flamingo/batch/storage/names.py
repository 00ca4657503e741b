"""Names of files that come from a table, an archive or a server: never one outside of a folder.

Pure.
"""

import re
from pathlib import PurePosixPath

MAX_NAME_BYTES = 255
"""Of each part, on the file systems of Linux."""
_DRIVE = re.compile("^[A-Za-z]:")


def problem_of(name: str) -> str | None:
    """Return why `name` cannot be the name of a file in a folder, or None.

    Refused are absolute paths, `..`, drives and backslashes of Windows, and NUL.
    """
    if not name or name == ".":
        return "it is empty"
    if "\0" in name:
        return "it contains a NUL character"
    if "\\" in name:
        return "it contains a backslash; separate folders with /"
    if name.startswith("/") or _DRIVE.match(name):
        return "it is absolute; it must be relative to the folder"
    if ".." in PurePosixPath(name).parts:
        return "it leads out of the folder (..)"
    return None


def stem(name: str) -> str:
    """Return `name` without the suffix of its last part, keeping its folder."""
    folder, slash, last = name.rpartition("/")
    start, dot, _ = last.rpartition(".")
    return folder + slash + (start if dot and start else last)


def webdataset_key(name: str) -> tuple[str, str]:
    """Return the key and the extension of a tar member: what is before and after the first dot.

    The dot is that of the last part of the name, as WebDataset has it: `a.b/song.seg.flac` is
    `a.b/song` and `seg.flac`.
    """
    folder, slash, last = name.rpartition("/")
    start, _, extension = last.partition(".")
    return folder + slash + start, extension.lower()
