"""A fleet's address, as people write it → as the client uses it.

Pure.
"""

from urllib.parse import urlsplit

from flamingo_common.errors import BadRequest

DEFAULT = "http://127.0.0.1:8000"


def root(base_url: str) -> str:
    """Return `base_url` without trailing slashes and without `/v1`, which paths bring along.

    Raises:
        BadRequest: it is no http(s) address.
    """
    parts = urlsplit(base_url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_valid_port(base_url):
        raise BadRequest(f"{base_url!r} is no address; write it like {DEFAULT}", param="base_url")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _has_valid_port(base_url: str) -> bool:
    try:
        return urlsplit(base_url.strip()).port != 0
    except ValueError:
        return False


def is_url(audio: str) -> bool:
    """Return whether `audio` is to be downloaded, not opened."""
    return audio.lower().startswith(("http://", "https://"))


def shown(url: str) -> str:
    """Return `url` without password and query: in a presigned one that is the key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
