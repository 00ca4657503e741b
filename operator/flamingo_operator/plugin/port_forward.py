"""Ask a pod through a tunnel, as `kubectl port-forward` makes one.

The API server's own way into a pod, its proxy, keeps the header with the key.
"""

import threading
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_S = 15


class PortForwardError(Exception):
    """Why no answer came."""


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
    """Return what is answered to whoever has `key`; `api` is the client library's ApiClient.

    Raises:
        PortForwardError: there is no way in, or the answer is no success.
    """
    from kubernetes import client, stream  # noqa: PLC0415 - 0.7 s that --help need not wait

    # The library's thread falls over a port that nobody listens on; we say it in a line.
    threading.excepthook = lambda _: None
    ask = client.CoreV1Api(api).connect_get_namespaced_pod_portforward
    try:
        tunnel = stream.portforward(ask, port.pod, port.namespace, ports=str(port.number))
    except client.ApiException as error:
        raise PortForwardError(str(error.reason)) from None
    try:
        return _answer(tunnel.socket(port.number), path, key)
    except (HTTPException, OSError) as error:
        told = tunnel.error(port.number) or str(error) or type(error).__name__
        if "connection refused" in told:  # after a long way there, and for each kind of address
            told = f"nobody listens on port {port.number}"
        raise PortForwardError(told.strip()) from None
    finally:
        tunnel.close()


def _answer(socket: Any, path: str, key: str) -> bytes:
    socket.settimeout(TIMEOUT_S)
    connection = _PortForwardConnection(socket)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    text = response.read()
    if response.status in {401, 403}:
        raise PortForwardError(
            "it does not take the key of FLAMINGO_API_KEY: one that may observe?"
        )
    if response.status != 200:  # noqa: PLR2004
        raise PortForwardError(f"it answers with status {response.status}")
    return text
