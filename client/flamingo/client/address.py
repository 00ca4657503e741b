"""URLs: a fleet's base URL in its normal form, and URLs that are safe to show.

Pure.
"""

from urllib.parse import urlsplit

from flamingo_common.errors import BadRequest

DEFAULT_URL = "http://127.0.0.1:8000"


def normalize_base_url(base_url: str) -> str:
    """Return `base_url` without trailing slashes and without `/v1`, which request paths include.

    Raises:
        BadRequest: `base_url` is not a valid http or https URL.
    """
    parts = urlsplit(base_url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_valid_port(base_url):
        raise BadRequest(
            f"{base_url!r} is not a valid base URL; expected a form like {DEFAULT_URL}",
            param="base_url",
        )
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _has_valid_port(base_url: str) -> bool:
    try:
        return urlsplit(base_url.strip()).port != 0
    except ValueError:
        return False


def is_url(audio: str) -> bool:
    """Return whether `audio` is an http or https URL; anything else is a path."""
    return audio.lower().startswith(("http://", "https://"))


def redact_url(url: str) -> str:
    """Return `url` without credentials, query and fragment: presigned URLs carry secrets there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
