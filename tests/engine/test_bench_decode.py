"""`flamingo bench decode`: what a minute of each format costs."""

import subprocess
import sys


def test_bench_decode_measures_each_format():
    command = [sys.executable, "-P", "-m", "flamingo_pod.bench", "decode", "--minutes", "0.02"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    kinds = [row[1].strip() for row in rows]
    assert kinds == ["wav", "aiff", "flac", "mp3", "vorbis", "opus", "m4a", "aac", "webm"]
    assert all(float(row[3]) > 0 for row in rows), "CPU-milliseconds"
