"""`kubectl flamingo logs --follow`, as a process, against a server that streams line after line."""

import contextlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fakes.patience import PATIENCE_S

PODS = [{"metadata": {"name": f"music-{one}"}} for one in ("a", "b")]


class Logs:
    """An API server of two pods: each writes a line, waits for permission, and writes another."""

    def __init__(self):
        self.may_continue = threading.Event()

    @contextlib.contextmanager
    def running(self):
        logs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.partition("?")[0]
                if path.endswith("/pods"):
                    text = json.dumps({"items": PODS}).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                elif path.endswith("/music-b/log"):
                    self.send_error(500, "no")
                else:
                    self.send_response(200)
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.wfile.write(chunk(line("first") + line("second")[:20]))
                    logs.may_continue.wait(PATIENCE_S)
                    self.wfile.write(chunk(line("second")[20:]) + chunk(b""))

            def log_message(self, *args):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield server.server_port
            finally:
                self.may_continue.set()
                server.shutdown()
                thread.join()


def chunk(text):
    return b"%x\r\n%b\r\n" % (len(text), text)


def line(event):
    return json.dumps({"event": event, "level": "info"}).encode() + b"\n"


@pytest.fixture
def following(tmp_path):
    """Yield a server of logs, and the process that follows it."""
    logs = Logs()
    with logs.running() as port:
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
        config["clusters"] = [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}]
        config["users"] = [{"name": "u", "user": {"token": "t"}}]
        config["contexts"] = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
        (tmp_path / "config").write_text(json.dumps(config))
        program = "from flamingo_operator.plugin.main import main; main()"
        args = ["logs", "music", "--follow", f"--kubeconfig={tmp_path / 'config'}"]
        command = [sys.executable, "-u", "-c", program, *args]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            yield logs, process


def test_a_line_is_shown_when_complete_and_an_unreadable_pod_stops_no_other(following):
    logs, process = following
    assert process.stdout.readline().split() == ["a", "info", "first"]
    logs.may_continue.set()
    assert process.stdout.readline().split() == ["a", "info", "second"]
    assert process.wait(PATIENCE_S) == 0
    assert process.stderr.read().startswith("kubectl flamingo: music-b: ")
