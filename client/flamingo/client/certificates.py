"""The certificates that a client trusts: the system's, or those that the environment names.

OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR, but says nothing of a file that is missing;
REQUESTS_CA_BUNDLE is what many companies set for Python.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")

UNTRUSTED = frozenset({18, 19, 20, 21})
"""OpenSSL's numbers for a certificate of an authority that is not trusted, or of its own."""
HOW_TO_TRUST = (
    "if it is genuine, set SSL_CERT_FILE to a PEM file with the certificate of the authority (CA)"
    " that signed it"
)


def is_untrusted(error: Exception) -> bool:
    """Return whether a connection failed only because the certificate's CA is not trusted."""
    cause = getattr(error, "certificate_error", None)
    return isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in UNTRUSTED


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return a context that verifies servers.

    Raises:
        BadRequest: the certificates that a variable names cannot be read.
    """
    for variable in VARIABLES:
        if path := environ.get(variable):
            return _context_with(variable, Path(path))
    return ssl.create_default_context()


def _context_with(variable: str, path: Path) -> ssl.SSLContext:
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError is one too
        reason = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise BadRequest(
            f"{variable}: cannot read certificates from {printable.escape_line(str(path))}:"
            f" {(reason or str(error)).lower()}"
        ) from None
