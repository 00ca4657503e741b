"""An ingress controller: nginx in the cluster's network, told by an Ingress and its Secret.

It does what ingress-nginx does for one Ingress: it follows the EndpointSlices of the Service, lets
nginx read its configuration again when they change, and writes its address to the Ingress' status.
"""

import base64
import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.ingress_config import Place, config
from cluster.nodes import Cluster

VALID_DAYS = 2
LOOKS_EVERY_S = 0.5
"""How often it looks at the EndpointSlices."""


@dataclass(frozen=True)
class Certificates:
    """A certificate of a name, and the authority that signed it."""

    authority: Path
    certificate: Path
    key: Path


def certified(name: str, folder: Path) -> Certificates:
    """Make a certificate that is valid for `name`."""
    made = Certificates(*(folder / one for one in ("ca.crt", "tls.crt", "tls.key")))
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(VALID_DAYS)]
    ca = [*new, "-subj", "/CN=Test authority", "-keyout", folder / "ca.key", "-out", made.authority]
    signed = ["-CA", made.authority, "-CAkey", folder / "ca.key", "-subj", f"/CN={name}"]
    own = ["-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=CA:FALSE"]
    files = ["-keyout", made.key, "-out", made.certificate]
    for command in (ca, [*new, *signed, *own, *files]):
        subprocess.run(command, check=True, capture_output=True)
    return made


@contextlib.contextmanager
def controller(cluster: Cluster, namespace: str, name: str, folder: Path) -> Iterator[str]:
    """Serve an Ingress while the block lasts; yield the address."""
    place = Place(cluster.node_address, folder)
    ingress = cluster.get(namespace, "ingress", name)
    _write_certificate(cluster, ingress, folder)
    nginx = [*cluster.enter, "nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    stop = threading.Event()

    def write() -> str:
        text = config(ingress, _endpoints(cluster, ingress), place)
        (folder / "nginx.conf").write_text(text)
        return text

    written = write()
    with _running(nginx) as process:

        def follow(known: str) -> None:
            while not stop.wait(LOOKS_EVERY_S):
                if (found := write()) != known:
                    process.send_signal(signal.SIGHUP)
                    known = found

        thread = threading.Thread(target=follow, args=(written,))
        thread.start()
        try:
            status = {"status": {"loadBalancer": {"ingress": [{"ip": place.address}]}}}
            patch = ("--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
            cluster.output("-n", namespace, "patch", "ingress", name, *patch)
            yield place.address
        finally:
            stop.set()
            thread.join()


def _endpoints(cluster: Cluster, ingress: dict[str, Any]) -> list[str]:
    """Return the addresses that are ready, as the EndpointSlices of the Service have them."""
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    service = path["backend"]["service"]["name"]
    namespace = ingress["metadata"]["namespace"]
    selector = ("-l", f"kubernetes.io/service-name={service}", "--output=json")
    found = json.loads(cluster.output("-n", namespace, "get", "endpointslices", *selector))
    return sorted(
        f"{endpoint['addresses'][0]}:{piece['ports'][0]['port']}"
        for piece in found["items"]
        for endpoint in piece.get("endpoints") or ()
        if endpoint["conditions"]["ready"]
    )


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.terminate()


def _write_certificate(cluster: Cluster, ingress: dict[str, Any], folder: Path) -> None:
    (tls,) = ingress["spec"]["tls"]
    secret = cluster.get(ingress["metadata"]["namespace"], "secret", tls["secretName"])
    for entry, text in secret["data"].items():
        (folder / entry).write_bytes(base64.b64decode(text))
