"""A small HTTP proxy: absolute-form requests, CONNECT, and basic authentication."""

import base64
import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class FakeProxy:
    """A proxy and its script; every host that it is asked for is `target`."""

    target: object
    """Has an `address`, such as a fake pod."""
    credentials: str | None = None
    """`user:password` that requests need."""
    refuses_with: str | None = None
    """The status line's end with which it answers every request, such as `502 Bad Gateway`."""
    request_lines: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    url: str = ""

    def handle(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        line = head.partition("\r\n")[0]
        self.request_lines.append(line)
        self.heads.append(head)
        if (refusal := self._refusal(head)) is not None:
            client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):  # closing with unread bytes would take the response back
                pass
            return
        parts = urlsplit(self.target.address)
        with socket.create_connection((parts.hostname, parts.port)) as server:
            if line.startswith("CONNECT "):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                server.sendall(_origin_form(head).encode() + rest)
            _relay(client, server)

    def _refusal(self, head: str) -> str | None:
        expected = base64.b64encode((self.credentials or "").encode()).decode()
        if self.credentials and f"Proxy-Authorization: Basic {expected}" not in head:
            return '407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"'
        return self.refuses_with


@contextlib.contextmanager
def running(proxy: FakeProxy):
    """Serve `proxy` from threads on a free port of loopback; yield it with its `url`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                proxy.handle(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _read_head(client: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(2**16)
        if not chunk:
            raise ConnectionError
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode() + "\r\n\r\n", rest


def _origin_form(head: str) -> str:
    method, url, rest = head.split(" ", 2)
    parts = urlsplit(url)
    return f"{method} {parts.path}{'?' if parts.query else ''}{parts.query} {rest}"


def _relay(client: socket.socket, server: socket.socket) -> None:
    up = threading.Thread(target=_copy, args=(client, server), daemon=True)
    up.start()
    _copy(server, client)
    up.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(2**16):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
