"""An HTTP request to a pod through a port-forward, as `kubectl port-forward` opens one.

The API server's proxy subresource would strip the Authorization header.
"""

import threading
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_S = 15


class PortForwardError(Exception):
    """Why the request failed."""


@dataclass(frozen=True, slots=True)
class PodPort:
    """A port of a pod."""

    namespace: str
    pod: str
    number: int


class _PortForwardConnection(HTTPConnection):
    def __init__(self, socket: Any) -> None:
        super().__init__("pod")
        self.sock = socket


def get(api: Any, port: PodPort, path: str, key: str) -> bytes:
    """Return the response body to a request with `key`; `api` is the client's ApiClient.

    Raises:
        PortForwardError: the port cannot be reached, or the response is not a success.
    """
    from kubernetes import client, stream  # noqa: PLC0415 - 0.7 s that --help need not wait

    # The library's thread would print a traceback for a closed port; we raise instead.
    threading.excepthook = lambda _: None
    connect = client.CoreV1Api(api).connect_get_namespaced_pod_portforward
    try:
        forward = stream.portforward(connect, port.pod, port.namespace, ports=str(port.number))
    except client.ApiException as error:
        raise PortForwardError(str(error.reason)) from None
    try:
        return _response_body(forward.socket(port.number), path, key)
    except (HTTPException, OSError) as error:
        message = forward.error(port.number) or str(error) or type(error).__name__
        if "connection refused" in message:  # follows a long prefix, once for each address family
            message = f"connection to port {port.number} refused"
        raise PortForwardError(message.strip()) from None
    finally:
        forward.close()


def _response_body(socket: Any, path: str, key: str) -> bytes:
    socket.settimeout(TIMEOUT_S)
    connection = _PortForwardConnection(socket)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    body = response.read()
    if response.status in {401, 403}:
        raise PortForwardError(
            "the pod rejected the key in FLAMINGO_API_KEY; use a key with the permission observe"
        )
    if response.status != 200:  # noqa: PLR2004
        raise PortForwardError(f"the pod responded with HTTP status {response.status}")
    return body
