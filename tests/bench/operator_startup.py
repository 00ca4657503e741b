"""CPU time of an operator until it answers its probes, and until everything is imported.

    python tests/bench/operator_startup.py [PYTHON]     default: this interpreter

It runs without a cluster: the API server it is given refuses connections.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TICKS_S = os.sysconf("SC_CLK_TCK")
NUM_RUNS = 5
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}


def cpu_s(process: "subprocess.Popen[bytes]") -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def is_answered(port: int) -> bool:
    """Whether the liveness probe is answered."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def is_waiting(port: int) -> bool:
    """Whether it has tried to reach the API server."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
            return False
    except urllib.error.HTTPError as error:
        return b"Lease" in error.read()
    except OSError:
        return False


def measure(python: str, folder: Path) -> tuple[float, float]:
    """Return the CPU time until the probes are answered, and until the API server was tried."""
    (folder / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "flamingo_operator", f"--port={port}"]
    command += [f"--kubeconfig={folder / 'kubeconfig'}", "--log-level=error"]
    with subprocess.Popen(command) as process:
        try:
            found = []
            for holds in (is_answered, is_waiting):
                while not holds(port):
                    time.sleep(0.01)
                found.append(cpu_s(process))
        finally:
            process.terminate()
    return found[0], found[1]


def main() -> None:
    """Print the medians of a few runs."""
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(python, Path(folder)) for _ in range(NUM_RUNS)]
    for name, times in zip(
        ("answers its probes", "has started"), zip(*runs, strict=True), strict=True
    ):
        print(f"{name}: {sorted(times)[NUM_RUNS // 2]:.2f} s of CPU")


if __name__ == "__main__":
    main()
