"""A real Prometheus, started for tests."""

import contextlib
import json
import math
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.patience import PATIENCE_S

WAIT_S = 60.0


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels, and its values by time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    address: str

    def query(self, expr: str, *, at_s: float | None = None) -> list[Series]:
        """Return the series of an instant query, without those that are not a number."""
        found = self._get("query", query=expr, **({} if at_s is None else {"time": f"{at_s:.3f}"}))
        if found["resultType"] == "scalar":
            return _series([{"metric": {}, "value": found["result"]}])
        return _series(found["result"])

    def query_range(self, expr: str, *, from_s: float, to_s: float, step_s: float) -> list[Series]:
        """Return the series of a range query, without the points that are not numbers."""
        given = {"start": f"{from_s:.3f}", "end": f"{to_s:.3f}", "step": str(step_s)}
        return _series(self._get("query_range", query=expr, **given)["result"])

    def targets(self) -> list[dict[str, Any]]:
        """Return the targets that are scraped, with their labels and health."""
        return self._get("targets", state="active")["activeTargets"]

    def wait_for_targets(self, num: int) -> list[dict[str, Any]]:
        """Return the targets that are scraped once so many were found, with the dropped ones."""
        deadline_s = time.monotonic() + WAIT_S
        while True:
            found = self._get("targets")
            if len(found["activeTargets"]) + len(found["droppedTargets"]) == num:
                return found["activeTargets"]
            assert time.monotonic() < deadline_s, found
            time.sleep(0.1)  # between two requests to a real process; no result depends on it

    def wait_for(self, expr: str) -> list[Series]:
        """Return the answer to a query once it is not empty."""
        deadline_s = time.monotonic() + WAIT_S
        while not (found := self.query(expr)):
            assert time.monotonic() < deadline_s, f"no data within {WAIT_S:.0f} s: {expr}"
            time.sleep(0.1)  # between two requests to a real process; no result depends on it
        return found

    def wait_for_scrape(self) -> None:
        """Return once all targets were scraped, in full, after this call began."""
        began_s = time.time()
        count = f"count(timestamp(up) > {began_s:.3f}) == {len(self.targets())}"
        self.wait_for(count)

    def _get(self, path: str, **query: str) -> Any:
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None


def _series(result: Iterable[Mapping[str, Any]]) -> list[Series]:
    found = []
    for one in result:
        pairs = one["values"] if "values" in one else [one["value"]]
        points = tuple((float(at), float(value)) for at, value in pairs)
        points = tuple(point for point in points if math.isfinite(point[1]))
        if points:
            found.append(Series(one["metric"], points))
    return found


@contextlib.contextmanager
def running(program: str, config: Mapping[str, Any], folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration; its data are in `folder`."""
    file = folder / "prometheus.json"  # JSON is YAML
    file.write_text(json.dumps(config), encoding="utf-8")
    port = _free_port()
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as process:
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}", log)
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, log.read_text()
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{address}/-/ready", timeout=5),
        ):
            return
        time.sleep(0.05)  # between two requests to a real process; no result depends on it
    raise AssertionError(f"not ready in {PATIENCE_S} s:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
