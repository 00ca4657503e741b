"""A fake model hub: the four requests of huggingface_hub, and range requests.

Tests set its behavior with its fields, and read the requests and the bytes sent.
"""

import contextlib
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "beef"
CHUNK_BYTES = 2**16


@dataclass
class FakeHub:
    """A hub with one repository."""

    folder: Path
    repo: str = "music/tiny"
    token: str | None = None
    """If set, the token that requests need."""
    is_gated: bool = False
    error_statuses: dict[str, list[int]] = field(default_factory=dict)
    """Error statuses of the next requests by a pattern of their path, one each."""
    pause_after: dict[str, int] = field(default_factory=dict)
    """Bytes of a file after which its response waits for `resume`."""
    resume: threading.Event = field(default_factory=threading.Event)
    is_paused: threading.Event = field(default_factory=threading.Event)
    has_ranges: bool = True
    files_to_damage: set[str] = field(default_factory=set)
    """Files whose next response has a wrong byte."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: Counter = field(default_factory=Counter)
    """Bytes sent of each file."""
    address: str = ""

    @property
    def environ(self):
        """Environment of a process that is to use this hub."""
        return {"HF_ENDPOINT": self.address, "HF_HUB_DISABLE_TELEMETRY": "1"}

    def etag(self, name):
        content = (self.folder / name).read_bytes()
        if name.endswith(".safetensors"):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324

    def listing(self):
        return [
            {
                "type": "file",
                "path": path.name,
                "size": path.stat().st_size,
                "oid": self.etag(path.name)[:40],
            }
            for path in sorted(self.folder.iterdir())
        ]


@contextlib.contextmanager
def running(hub: FakeHub, host: str = "127.0.0.1") -> Iterator[FakeHub]:
    """Serve `hub` on a free port."""

    class Handler(_Handler):
        the_hub = hub

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.resume.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    the_hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Log nothing."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.the_hub.requests.append((self.command, path))
        try:
            self._respond(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _respond(self, path):
        hub = self.the_hub
        for pattern, statuses in hub.error_statuses.items():
            if statuses and re.search(pattern, path):
                return self._json({"error": "scripted"}, status=statuses.pop(0))
        if error := self._error(path):
            return self._json({"error": error[1]}, status=error[0], code=error[1])
        if "/tree/" in path:
            return self._json(hub.listing())
        if path.startswith("/api/models/"):
            return self._json({"id": hub.repo, "modelId": hub.repo, "sha": COMMIT, "siblings": []})
        return self._file(path.rpartition("/")[2])

    def _error(self, path):
        hub = self.the_hub
        authorization = self.headers.get("authorization")
        if hub.repo not in path:
            return (401, "RepoNotFound") if authorization is None else (404, "RepoNotFound")
        if hub.token is not None and authorization != f"Bearer {hub.token}":
            return 401, "RepoNotFound"
        if hub.is_gated:
            return 403, "GatedRepo"
        is_by_revision = "/revision/" in path or "/tree/" in path
        if is_by_revision and path.rpartition("/")[2] not in {"main", "v1", COMMIT}:
            return 404, "RevisionNotFound"
        return None

    def _json(self, value, *, status=200, code=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, name):
        hub = self.the_hub
        content = (hub.folder / name).read_bytes()
        start = self._start() if hub.has_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hub.etag(name)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name in hub.files_to_damage:
            hub.files_to_damage.discard(name)
            content = content[:-1] + bytes([content[-1] ^ 1])
        for at in range(start, len(content), CHUNK_BYTES):
            if hub.pause_after.get(name, at) < at:
                hub.is_paused.set()
                hub.resume.wait()
                del hub.pause_after[name]
            self.wfile.write(content[at : at + CHUNK_BYTES])
            hub.sent[name] += len(content[at : at + CHUNK_BYTES])

    def _start(self):
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found.group(1)) if found else 0
