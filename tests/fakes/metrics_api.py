"""The API by which Kubernetes' HPA controller reads a metric from outside, in a few lines.

What KEDA or an adapter of Prometheus would serve; the API server passes questions on to it.
"""

import contextlib
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"


@dataclass
class MetricsApi:
    """Answers every question about a metric with its figure."""

    folder: Path
    figures: dict[str, Callable[[], float]] = field(default_factory=dict)
    """What returns the value of each metric."""
    num_asked: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Serve; yield the port."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = json.dumps(api.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.socket = self._context().wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield server.server_port
            finally:
                server.shutdown()
                thread.join()

    def answer(self, path: str) -> dict[str, Any]:
        version, metric = f"{GROUP}/{VERSION}", path.partition("?")[0].rpartition("/")[2]
        if metric not in self.figures:
            return {"kind": "APIResourceList", "groupVersion": version, "resources": []}
        self.num_asked += 1
        now, thousandths = datetime.now(UTC), round(1000 * self.figures[metric]())
        item = {"metricName": metric, "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        item["value"] = f"{thousandths}m"
        kind = "ExternalMetricValueList"
        return {"kind": kind, "apiVersion": version, "metadata": {}, "items": [item]}

    def _context(self) -> ssl.SSLContext:
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        made += ["-keyout", key, "-out", certificate, "-subj", "/CN=localhost"]
        subprocess.run(made, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


def registration(namespace: str, port: int) -> list[dict[str, Any]]:
    """Return the objects by which the API server finds it."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "metrics", "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    api = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "service": {"name": "metrics", "namespace": namespace, "port": port},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    return [service, api]
