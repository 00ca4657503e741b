"""`flamingo bench decode`: the cost of a minute of audio in a decode worker, by format."""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flamingo_common.audio import windows
from flamingo_pod.audio import decode, sound_file
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileAddress
from flamingo_pod.bench import machine, synthetic_audio, table

PROG = "flamingo bench decode"
RATES_HZ = {"opus": 48_000, "webm": 48_000}
DEFAULT_RATE_HZ = 44_100
SECTION_S = 30.0
"""Synthesized once and repeated: synthesizing 20 minutes takes longer than decoding them."""


def main(argv: Sequence[str]) -> int:
    """Measure and print a table; return the exit status."""
    parser = argparse.ArgumentParser(prog=PROG, description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="length of each clip in minutes; default: 5"
    )
    minutes = parser.parse_args(argv).minutes
    rows = ["| format | MB | CPU-ms per minute | additional MB |"]
    rows.append("| --- | ---: | ---: | ---: |")
    for kind in sound_file.FORMATS:
        data = _file(kind, minutes)
        cpu_s, num_bytes = _cost(data)
        cpu_ms = cpu_s * 1000 / minutes
        rows.append(f"| {kind} | {len(data) / 1e6:.1f} | {cpu_ms:.0f} | {num_bytes / 1e6:.0f} |")
    print(*rows, f"\n{table.describe_origin([*PROG.split(), *argv], machine.describe())}", sep="\n")  # noqa: T201
    return 0


def _file(kind: str, minutes: float) -> bytes:
    """Return a stereo file of the given format."""
    rate_hz = RATES_HZ.get(kind, DEFAULT_RATE_HZ)
    section = synthetic_audio.make_clip(SECTION_S * rate_hz / windows.SAMPLE_RATE_HZ, seed=1)
    left = np.resize(section, int(minutes * 60 * rate_hz))
    return sound_file.encode_file(np.stack([left, np.roll(left, rate_hz // 50)]), rate_hz, kind)


def _cost(data: bytes) -> tuple[float, int]:
    """Return the CPU-seconds and bytes of memory that decoding takes, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with MemoryFile() as source, MemoryFile() as target, context.Pool(1) as pool:
        source.write(data)
        return pool.apply(measure, [source.address, target.address])


def measure(source: MemoryFileAddress, target: MemoryFileAddress) -> tuple[float, int]:
    """Decode in this process; return CPU-seconds and peak memory beyond that before."""
    at_rest = _status_bytes("VmSize")
    started_s = time.process_time()
    decode.decode_clip(source, target, decode.DecodeLimits(max_seconds=7200))
    return time.process_time() - started_s, _status_bytes("VmPeak") - at_rest


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
