"""The time of a second question about a clip: `python tests/bench/second_question.py [SECONDS]`.

A router and a pod with the built-in model, each a process, are asked about stereo noise of 44.1 kHz
as MP3, of three minutes by default: by a client that sends the clip each time, to a pod that holds
no clips and to one that does, and by its id. Each number is the median of nine answers of one token
about a clip whose states are all cached: what is left is the upload, decoding and hashing.
"""

import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from flamingo import FlamingoClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import processes

NUM_ANSWERS = 9
RATE_HZ = 44_100


def song(seconds: int) -> bytes:
    """Return an MP3 of noise."""
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, (seconds * RATE_HZ, 2))
    file = io.BytesIO()
    soundfile.write(file, noise, RATE_HZ, format="MP3", subtype="MPEG_LAYER_III")
    return file.getvalue()


def median_s(client: FlamingoClient, clip: bytes) -> float:
    """Return the median time of an answer, after the first one."""
    times = []
    for _ in range(NUM_ANSWERS + 1):
        started_s = time.perf_counter()
        client.ask(clip, "What key is it in?", max_tokens=1)
        times.append(time.perf_counter() - started_s)
    return statistics.median(times[1:])


def main(seconds: int) -> None:
    """Print both times, with a pod that holds clips and one that does not."""
    clip = song(seconds)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, flags, reuses in (
            ("the clip, decoded again", ("--max-held-clip-bytes", "0"), False),
            ("the clip, known by its digest", (), False),
            ("its id", (), True),
        ):
            with processes.service("flamingo_pod", *flags, log=folder / "pod") as pod:
                processes.wait_until_ready(pod)
                endpoint = ("--endpoint", pod.address)
                with processes.service(
                    "flamingo_router", *endpoint, log=folder / "router"
                ) as router:
                    processes.wait_until_ready(router)
                    with FlamingoClient(router.address, reuse_clips=reuses) as client:
                        print(f"{name:30} {median_s(client, clip) * 1000:7.1f} ms")
    print(f"clip: {seconds} s, {len(clip) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 180)
