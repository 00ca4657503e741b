"""What a client takes from its arguments or, where they are omitted, from the environment."""

import base64
import os
from collections.abc import Mapping

from flamingo.client import address
from flamingo.client.address import BaseUrl
from flamingo_common.errors import BadRequest
from flamingo_common.service import key_text

URL_VARIABLE = "FLAMINGO_URL"
KEY_VARIABLE = "FLAMINGO_API_KEY"


def base_url(argument: str | None, environ: Mapping[str, str] = os.environ) -> BaseUrl:
    """Return the URL of the fleet; by default that in `FLAMINGO_URL`, or the local fleet's.

    Raises:
        BadRequest: it is not a valid http or https URL; the message names its source.
    """
    if argument:
        return address.parse_base_url(argument)
    try:
        return address.parse_base_url(environ.get(URL_VARIABLE) or address.DEFAULT_URL)
    except BadRequest as error:
        raise BadRequest(f"{URL_VARIABLE}: {error.message}", param=error.param) from None


def authorization(
    api_key: str | None, url: BaseUrl, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return the `Authorization` header, from the API key or the credentials in the URL.

    Raises:
        TypeError: the key is not a string.
        BadRequest: a header cannot carry the key, or there are both.
    """
    if api_key is not None and not isinstance(api_key, str):
        raise TypeError(f"api_key must be a string, not {type(api_key).__name__}")
    source, text = ("api_key", api_key) if api_key else (KEY_VARIABLE, environ.get(KEY_VARIABLE))
    if text and url.credentials:
        raise BadRequest(
            f"the base URL contains credentials and there is an API key ({source}), but a request"
            " has one Authorization header; remove one of them",
            param="base_url",
        )
    if text:
        return f"Bearer {clean_key(text, source=source)}"
    if url.credentials:
        return "Basic " + base64.b64encode(":".join(url.credentials).encode()).decode()
    return None


def clean_key(text: str, *, source: str) -> str:
    """Return an API key without blanks and line breaks around it.

    Raises:
        BadRequest: a header cannot carry the key; the message names its `source`.
    """
    try:
        return key_text.clean_from(source, text)
    except key_text.InvalidKey as error:
        raise BadRequest(str(error), param="api_key") from None
