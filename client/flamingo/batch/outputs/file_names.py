"""The names of files for an item: of its embedding, and of what is beside its clip.

Pure.
"""

import hashlib
import re

MAX_NAME_BYTES = 200
"""Of one part of a path; file systems allow 255."""
MAX_CLIP_NAME_BYTES = 230
"""Of one part of a path, if a suffix such as `.caption.txt` follows."""
_SEPARATOR = re.compile(r"(?<=[^/])/(?=[^/])")
"""A slash between two names; others would lead to the root, or nowhere."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._ ()+,:=@-]")
_NOT_IN_NAMES = re.compile(r"[/\\]|%[0-9A-F]{2}")
"""Separators, and what looks percent-encoded, so that two keys never have one name."""


def file_name(key: str, extension: str) -> str:
    """Return a relative path that only this key has: `a/song.flac` is `a/song.flac.npy`.

    Characters that a file system, a shell or a URL may not take are percent-encoded, and so are
    parts that would lead elsewhere; long parts are shortened and end with a hash.
    """
    return "/".join(_part(part) for part in _SEPARATOR.split(key)) + extension


def clip_name(key: str) -> str:
    """Return the relative path of the clip with this key, beside which other files are written.

    It is the key itself wherever that can be a path: programs look for a file with the clip's own
    name. Only what cannot be one is percent-encoded, as by `file_name`. Two keys have two paths.
    """
    return "/".join(part if _can_be_name(part) else _part(part) for part in _SEPARATOR.split(key))


def _can_be_name(part: str) -> bool:
    return (
        part.isprintable()  # surrogates are not
        and not _NOT_IN_NAMES.search(part)
        and part.strip(".") != ""
        and len(part.encode()) <= MAX_CLIP_NAME_BYTES
    )


def _part(part: str) -> str:
    if part.strip(".") == "":  # `.` and `..`
        return part.replace(".", "%2E")
    name = _UNSAFE.sub(_percent_encode, part)
    if len(name) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(part.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{name[: MAX_NAME_BYTES - len(digest) - 1]}~{digest}"


def _percent_encode(match: re.Match[str]) -> str:
    encoded = match[0].encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in encoded)
