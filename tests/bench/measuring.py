"""What measuring costs: `python tests/bench/measuring.py [MINUTES …]`, by default 3 and 20.

Stereo music is synthesized at 44.1 kHz and encoded as MP3. A fresh process first starts, by
importing librosa and measuring six seconds, then measures each clip twice. It starts twice: with
nothing compiled, and with what the first one has compiled. Needs the extra `measure`.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from clips import music

from flamingo_pod.audio import sound_file
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileAddress
from flamingo_pod.bench import machine
from flamingo_pod.measurement import compiled_code, measure

RATE_HZ = 44_100


def clip(minutes: float) -> bytes:
    """Return an MP3 of a song that repeats every half minute."""
    song = music.song(9, "minor", seed=1, seconds=30.0)
    samples = np.interp(
        np.arange(30 * RATE_HZ) * music.RATE_HZ / RATE_HZ, np.arange(len(song)), song
    )
    left = np.resize(samples.astype(np.float32), int(minutes * 60 * RATE_HZ))
    return sound_file.encode_file(np.stack([left, np.roll(left, RATE_HZ // 50)]), RATE_HZ, "mp3")


def start(folder: str) -> tuple[float, int]:
    """Start, as a worker does; return CPU-seconds and the peak of resident bytes."""
    compiled_code.set_variables(os.environ, folder)
    started_s = time.process_time()
    measure.warm_up()
    return time.process_time() - started_s, peak_bytes()


def measured(address: MemoryFileAddress) -> tuple[float, float, int]:
    """Measure a clip; return CPU-seconds, seconds, and the peak of resident bytes."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    measure.measure_clip(address, DecodeLimits(7200))
    return time.process_time() - cpu_s, time.perf_counter() - wall_s, peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that this process had."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main(all_minutes: list[float]) -> None:
    """Print a table."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    clips = {minutes: clip(minutes) for minutes in all_minutes}
    print("| step | CPU-s | s | peak MB |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("start, nothing compiled", "start, compiled before"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                cpu_s, peak = pool.apply(start, [folder])
                print(f"| {name} | {cpu_s:.1f} | | {peak / 1e6:.0f} |")
                for minutes, data in clips.items() if "before" in name else ():
                    for turn in ("first", "again"):
                        with MemoryFile() as file:
                            file.write(data)
                            cpu_s, wall_s, peak = pool.apply(measured, [file.address])
                        row = f"| {minutes:g} minutes, {turn} | {cpu_s:.1f} | {wall_s:.1f}"
                        print(f"{row} | {peak / 1e6:.0f} |")
    print(f"\n{machine.describe()}")


if __name__ == "__main__":
    main([float(one) for one in sys.argv[1:]] or [3, 20])
