"""A router that answers `/fleet` and nothing else, on a loopback address of its own.

Routers listen on port 8000 of their pods' addresses; here each has one of 127.0.0.0/8.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8000


@dataclass
class FakeRouter:
    """A router; without a body it closes the connection without a response."""

    address: str
    body: dict[str, Any] | None = None
    num_requests: int = 0
    keys: set[str] = field(default_factory=set)
    """Values of the `Authorization` header."""

    def report_demand(self, num_pods: float, *, queued: int = 0, audio_s: float = 0.0) -> None:
        """Report work for so many pods, arriving steadily, and so many queued requests."""
        arrivals = [
            {"window_s": window_s, "num": num_pods, "audio_s": audio_s, "work_s": num_pods}
            for window_s in (60.0, 300.0)
        ]
        queue = {"num": queued, "audio_s": 0.0, "work_s": 0.0, "oldest_s": 0.0}
        self.body = {"version": 1, "endpoints": [], "queue": queue, "arrivals": arrivals}

    @contextlib.contextmanager
    def running(self) -> Iterator["FakeRouter"]:
        router = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                router.num_requests += 1
                router.keys.add(self.headers.get("Authorization", ""))
                if router.body is None:
                    self.close_connection = True
                    return
                text = json.dumps(router.body).encode()
                self.send_response(200 if self.path == "/fleet" else 404)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in router.address else socket.AF_INET

        with Server((self.address, PORT), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()
