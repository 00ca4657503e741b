"""Recognizes Kubernetes' service links: variables about a Service, in every pod of its namespace.

A Service called `flamingo-router` makes the kubelet set `FLAMINGO_ROUTER_PORT=tcp://10.0.0.1:8000`
and a dozen others, which begin like the variables of the router's settings.

Pure.
"""

import re
from collections.abc import Mapping

_ADDRESS = re.compile(r"(tcp|udp|sctp)://.+")
_OF_SERVICE = re.compile(
    r"\w*?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)"
)
ADVICE = "variables of a Kubernetes Service are ignored; set enableServiceLinks: false in the pod"


def is_service_link(name: str, value: str, *, prefix: str) -> bool:
    """Return whether the variable is about a Service whose name begins like `prefix`."""
    if not name.startswith(prefix):
        return False
    rest = name.removeprefix(prefix)
    if rest == "PORT" or rest.endswith("_PORT"):  # the first is a setting as well
        return bool(_ADDRESS.fullmatch(value) or _OF_SERVICE.fullmatch(rest))
    return _OF_SERVICE.fullmatch(rest) is not None


def without_links(environ: Mapping[str, str], *, prefix: str) -> dict[str, str]:
    """Return the variables that are not service links."""
    return {
        name: value
        for name, value in environ.items()
        if not is_service_link(name, value, prefix=prefix)
    }
