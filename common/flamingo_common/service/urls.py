"""URLs that are safe to show.

Pure.
"""


def redact_url(url: str) -> str:
    """Return `url` without credentials, query and fragment: presigned URLs carry secrets there."""
    start = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = start.partition("://")
    if not separator:
        return start
    server, slash, path = rest.partition("/")
    return f"{scheme}://{server.rpartition('@')[2]}{slash}{path}"
