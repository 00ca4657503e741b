"""Where the files of a batch are: a path, a URL of an object store, or an http(s) URL.

Pure.
"""

import re

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
BUCKET_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "abfs", "abfss"})
"""Object stores, by the schemes of their URLs."""
WEB_SCHEMES = frozenset({"http", "https"})
_GLOB = re.compile(r"[*?\[]")


def scheme(text: str) -> str:
    """Return the scheme of a URL in lower case; nothing for a path."""
    match = _SCHEME.match(text)
    return match[1].lower() if match else ""


def is_bucket(text: str) -> bool:
    """Whether this is a URL of an object store."""
    return scheme(text) in BUCKET_SCHEMES


def is_web(text: str) -> bool:
    """Whether this is an http or https URL."""
    return scheme(text) in WEB_SCHEMES


def has_pattern(text: str) -> bool:
    """Whether this can be a glob pattern."""
    return bool(_GLOB.search(text))


def split_pattern(pattern: str) -> tuple[str, str]:
    """Return the part of a pattern before its first directory with a wildcard, and the rest.

    `s3://songs/2024/*/a.flac` is `s3://songs/2024` and `*/a.flac`.
    """
    match = _GLOB.search(pattern)
    end = len(pattern) if match is None else match.start()
    root, slash, _ = pattern[:end].rpartition("/")
    return (root or slash), pattern[len(root + slash) :]


def split_file(url: str) -> tuple[str, str]:
    """Return the folder and the name of the file that a URL names; the name may be empty."""
    start = len(scheme(url)) + len("://")
    folder, _, name = url[start:].rpartition("/")
    return (url[:start] + folder, name) if folder else (url, "")


def split_bucket(url: str) -> tuple[str, str]:
    """Return the URL of the bucket that an object is in, and the object's name."""
    start = len(scheme(url)) + len("://")
    bucket, _, name = url[start:].partition("/")
    return url[:start] + bucket, name
