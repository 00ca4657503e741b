"""The CPU-seconds and memory of a process, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
RESET_PEAK = "5"
"""See clear_refs in proc(5): sets the peak of resident memory to what is resident now."""


@dataclass(frozen=True)
class Meter:
    """Reads one process."""

    pid: int

    def cpu_s(self) -> float:
        """Return user and system time of all its threads."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def reset_peak(self) -> None:
        """Reset `peak_mb` to what is resident now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text(RESET_PEAK, encoding="utf-8")

    def peak_mb(self) -> float:
        """Return the peak resident memory."""
        return self._status("VmHWM")

    def resident_mb(self) -> float:
        """Return the memory that is resident now."""
        return self._status("VmRSS")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        (kib,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
        return int(kib) * 1024 / 1e6
