"""Progress of loading a model, by phase: written by the loading thread, read by any other."""

import threading
import time
from collections.abc import Callable

from flamingo_common.wire.report import LoadingPhase, LoadingStatus, StartReport

Clock = Callable[[], float]


class LoadingProgress:
    """The current phase of loading, and how much of it is done."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_s = self._phase_started_s = clock()
        self._phase: LoadingPhase = "resolving"
        self._num_done = self._num_before = 0
        self._total: int | None = None
        self._took_s: dict[LoadingPhase, float] = {}
        self.start: StartReport | None = None
        """How long each part took, once loading has finished."""

    def begin(self, phase: LoadingPhase, *, total: int | None = None, done: int = 0) -> None:
        """Start a phase of `total` bytes, of which `done` were present before."""
        with self._lock:
            self._end_phase()
            self._phase, self._total = phase, total
            self._num_done = self._num_before = done

    def finish(self) -> None:
        """End the last phase, and set `start`."""
        with self._lock:
            self._end_phase()
            took_s = {phase: round(took, 3) for phase, took in self._took_s.items()}
            self.start = StartReport(
                fetch_s=took_s.get("resolving", 0.0) + took_s.get("downloading", 0.0),
                load_s=took_s.get("reading", 0.0),
                warm_s=took_s.get("warming", 0.0),
            )

    def _end_phase(self) -> None:
        now_s = self._clock()
        took_s = now_s - self._phase_started_s
        self._took_s[self._phase] = self._took_s.get(self._phase, 0.0) + took_s
        self._phase_started_s = now_s

    def set_total(self, total: int) -> None:
        """Set the number of bytes of the current phase, once known."""
        with self._lock:
            self._total = total

    def add(self, num_bytes: int) -> None:
        """Count bytes as done, or, if negative, as to be done again."""
        with self._lock:
            self._num_done += num_bytes

    def now(self) -> LoadingStatus:
        """Return the current progress."""
        with self._lock:
            now_s = self._clock()
            return LoadingStatus(
                phase=self._phase,
                phase_s=round(now_s - self._phase_started_s, 3),
                elapsed_s=round(now_s - self._started_s, 3),
                done_bytes=self._num_done,
                total_bytes=self._total,
                left_s=self._left_s(now_s - self._phase_started_s),
            )

    def _left_s(self, phase_s: float) -> float | None:
        """Return the remaining seconds of the phase, at its average rate so far."""
        moved = self._num_done - self._num_before
        if self._total is None or moved <= 0 or phase_s <= 0:
            return None
        return round(max(0, self._total - self._num_done) / moved * phase_s, 1)
