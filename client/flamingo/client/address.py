"""URLs: a fleet's base URL in its normal form.

Pure.
"""

from dataclasses import dataclass
from typing import TypeGuard
from urllib.parse import SplitResult, unquote, urlsplit

from flamingo_common.errors import BadRequest
from flamingo_common.service import printable, urls

DEFAULT_URL = "http://127.0.0.1:8000"
_SURROUNDING = "\ufeff\u200b"
_QUOTES = "\"'`"


@dataclass(frozen=True)
class BaseUrl:
    """The URL of a fleet."""

    root: str
    """Without credentials, without `/v1` (which request paths include), without a slash."""
    credentials: tuple[str, str] | None = None
    """User name and password, for the basic authentication of a proxy in front of the fleet."""


def parse_base_url(text: str) -> BaseUrl:
    """Return the base URL in `text`; blanks around it are ignored.

    Raises:
        BadRequest: it is not a valid http or https URL; the message says why.
    """
    url = text.strip().strip(_SURROUNDING).strip()
    parts = _split(url)
    problem = _form_problem(url) or _server_problem(url, parts) or _path_problem(parts)
    if problem is not None:
        shown = printable.escape_line(urls.redact_url(url))
        raise BadRequest(
            f"{shown!r} is not a valid base URL: {problem}; expected a form like {DEFAULT_URL}",
            param="base_url",
        )
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return BaseUrl(root, (user, password) if user or password else None)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets without an IPv6 address between them
        return SplitResult("", "", "", "", "")


def _form_problem(url: str) -> str | None:
    """Return what is wrong with the text as a whole."""
    if not url:
        return "it is empty"
    if url[0] in _QUOTES or url[-1] in _QUOTES:
        return "it is in quotation marks; remove them"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "it contains whitespace or a control character"
    if "://" not in url:
        return "it has no scheme, http:// or https://"
    return None


def _server_problem(url: str, parts: SplitResult) -> str | None:
    """Return what is wrong with the scheme, the host or the port."""
    if parts.netloc.rpartition("@")[2].count(":") > 1 and "[" not in parts.netloc:
        return "an IPv6 address must be in brackets"
    if not parts.scheme or (
        url.lower().startswith(("http://[", "https://[")) and not parts.hostname
    ):
        return "its host is not valid"
    if parts.scheme not in {"http", "https"}:
        return "its scheme must be http or https"
    if not parts.hostname:
        return "it has no host"
    try:
        return "its port must be from 1 to 65535" if parts.port == 0 else None
    except ValueError:
        return "its port must be from 1 to 65535"


def _path_problem(parts: SplitResult) -> str | None:
    """Return what is wrong after the host: anything that requests to it would lose."""
    if parts.query or parts.fragment:
        return "it must not have a query or a fragment"
    start, marker, _ = f"{parts.path}/".partition("/v1/")
    if marker and parts.path.rstrip("/") != f"{start}/v1":
        return f"it is the URL of one route; end it with '{start}/v1'"
    return None


def is_url(audio: object) -> TypeGuard[str]:
    """Return whether `audio` is an http or https URL; any other string is a path."""
    return isinstance(audio, str) and audio.lower().startswith(("http://", "https://"))
