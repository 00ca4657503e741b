"""Keys of clips that are given by URL: the same in each run, and without credentials.

The signature of a presigned URL is another one each time it is made. What else the query has may
name the clip (`?id=17`), and stays in the key.

Pure.
"""

from urllib.parse import unquote_plus

from flamingo_common.service import urls

SIGNED_PREFIXES = ("x-amz-", "x-goog-", "x-oss-")
"""Of the parameters of presigned URLs; names are in lower case here."""
CREDENTIALS = frozenset(
    {
        *("signature", "sig", "expires", "policy", "key-pair-id"),
        *("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "security-token"),
        *("hdnts", "hdnea", "hdntl"),  # Akamai
        *("token", "access_token", "auth_token", "auth", "api_key", "apikey", "secret", "password"),
    }
)
AZURE_SIGNATURE = "sig"
AZURE_PARAMETERS = frozenset(
    {
        *("sv", "ss", "srt", "sr", "se", "st", "sp", "spr", "sip", "si", "sdd"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"),
    }
)
"""Of a shared access signature; each is common by itself, so they only count beside one."""


def key_of_url(url: str) -> str:
    """Return `url` without user name, password, fragment, and the parameters that sign it."""
    query = url.partition("#")[0].partition("?")[2]
    pairs = [pair for pair in query.split("&") if pair]
    is_azure = AZURE_SIGNATURE in {_name(pair) for pair in pairs}
    kept = [pair for pair in pairs if not _is_credential(_name(pair), is_azure=is_azure)]
    return "?".join([urls.redact_url(url), *(["&".join(kept)] if kept else [])])


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0]).lower()


def _is_credential(name: str, *, is_azure: bool) -> bool:
    if name in CREDENTIALS or name.startswith(SIGNED_PREFIXES):
        return True
    return is_azure and name in AZURE_PARAMETERS
