"""A batch whose processes are killed at any moment, and what its output must be afterwards."""

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from fakes import processes

from flamingo_common.service import run

RATE_HZ = 16_000
TIMEOUT_S = 600
CAPTION = {"max_tokens": 8, "temperature": 0, "style": "brief"}
DAMAGED = (b"", b"RIFF", b"fLaC" + bytes(200), b"this is a text and not a song")


def write_clips(folder: Path, num_clips: int, *, num_damaged: int, seed: int = 1) -> None:
    """Write short clips; every few of them cannot be decoded."""
    noise = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    damaged = set(random.Random(seed).sample(range(num_clips), num_damaged))
    for number in range(num_clips):
        path = folder / f"{number % 7}" / f"{number:05}.flac"
        path.parent.mkdir(exist_ok=True)
        if number in damaged:
            path.write_bytes(DAMAGED[number % len(DAMAGED)])
        else:
            samples = noise.normal(0, 0.1, int(RATE_HZ * noise.uniform(0.3, 1.0)))
            soundfile.write(path, samples, RATE_HZ)


def start(url: str, folder: Path, output: Path, **options: object) -> subprocess.Popen:
    """Start a batch of captions as a process."""
    script = Path(__file__).with_name("batch_process.py")
    fields = json.dumps({**CAPTION, **options})
    command = [sys.executable, "-P", str(script), url, str(folder), str(output), fields]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def write_manifest(path: Path, num_lines: int) -> None:
    """Write a manifest of which each ten lines are about one of few short files."""
    for number in range(100):
        (path.parent / f"{number:02}.flac").write_bytes(bytes(1000))
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_lines):
            clip = f"{number // 10 % 100:02}.flac"
            line = {"audio": clip, "custom_id": f"song-{number:08}", "title": "Waltz No. 2"}
            file.write(json.dumps(line) + "\n")


@contextlib.contextmanager
def stub_fleet() -> Iterator[str]:
    """Run a server that answers at the least cost; yield its address."""
    listener = run.listen("127.0.0.1", 0)
    script = Path(__file__).with_name("stub_fleet.py")
    command = [sys.executable, "-P", str(script), str(listener.fileno())]
    process = subprocess.Popen(command, pass_fds=[listener.fileno()])
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def finish(batch: subprocess.Popen, *, timeout_s: float = TIMEOUT_S) -> dict[str, float]:
    """Wait for the end of a batch; return its counts."""
    out, err = batch.communicate(timeout=timeout_s)
    assert batch.returncode == 0, err.decode()
    return json.loads(out)


def kill(batch: subprocess.Popen) -> None:
    batch.kill()
    batch.communicate()


def wait_for_lines(output: Path, num_lines: int, batch: subprocess.Popen) -> None:
    """Return when the output has so many lines."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(lines(output)) < num_lines:
        assert batch.poll() is None, batch.communicate()[1].decode()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)  # between two looks at a file; no result depends on it


def lines(output: Path) -> list[str]:
    path = output / "results.jsonl"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def results(output: Path) -> dict[str, str]:
    """Return the caption or the error's code of each key; no key may be there twice."""
    records = [json.loads(line) for line in lines(output)]
    found = {one["key"]: one.get("caption") or one["error"]["code"] for one in records}
    assert len(found) == len(records), "a key is there twice"
    return found


@contextlib.contextmanager
def restartable(package: str, *flags: str, folder: Path) -> Iterator["Restartable"]:
    running = Restartable(package, flags, folder)
    try:
        yield running
    finally:
        running.kill()


class Restartable:
    """A service that is killed and started again at the same address."""

    def __init__(self, package: str, flags: tuple[str, ...], folder: Path) -> None:
        self._package, self._flags, self._folder = package, flags, folder
        self._stack = contextlib.ExitStack()
        self._port = 0
        self._num_starts = 0
        self.start()

    def start(self) -> None:
        self._num_starts += 1
        self.service = self._stack.enter_context(
            processes.service(
                self._package,
                *self._flags,
                log=self._folder / f"{self._package}-{self._num_starts}-{self._port}",
                ends_with=-9,
                listens_on=("127.0.0.1", self._port),
            )
        )
        self.address = self.service.address
        self._port = int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        self.service.process.kill()
        self.service.process.wait()
        self._stack.close()
