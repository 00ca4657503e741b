"""A small OpenTelemetry collector: OTLP over HTTP, on loopback, in a thread of its own."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fakes.patience import PATIENCE_S
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Keeps every span that it is sent."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.spans = []
        """(service, span) each."""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(facts["service.name"], span) for span in scope.spans]

    def wait_for(self, num_spans: int) -> dict[str, object]:
        """Return the spans by service and name, once there are `num_spans`."""
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self.spans) < num_spans:
            assert time.monotonic() < deadline_s, self.names()
            time.sleep(0.02)  # between two looks at what a real process sends
        return {f"{service}: {span.name}": span for service, span in self.spans}

    def names(self) -> list[str]:
        return [span.name for _, span in self.spans]


@contextlib.contextmanager
def running() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
