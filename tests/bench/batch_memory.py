"""Memory of the client in a batch of a million lines: `python tests/bench/batch_memory.py`.

A server that answers at the least cost stands for the fleet. Afterwards a second run, which finds
all lines finished, is measured too. Exits with 1 if the client's memory has grown by more than
`--max-mb`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import batch_kills

DAY_S = 86_400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--max-mb", type=float, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, batch_kills.stub_fleet() as address:
        manifest, output = Path(name) / "manifest.jsonl", Path(name) / "out"
        batch_kills.write_manifest(manifest, options.lines)
        grown_mb = [_run(address, manifest, output, options.lines) for _ in range(2)]
    sys.exit(max(grown_mb) > options.max_mb)


def _run(address: str, manifest: Path, output: Path, num_lines: int) -> float:
    began_s = time.monotonic()
    counts = batch_kills.finish(batch_kills.start(address, manifest, output), timeout_s=DAY_S)
    assert counts["num_done"] + counts["num_skipped"] == num_lines
    size_mb = (output / "results.jsonl").stat().st_size / 2**20
    print(
        f"{counts['num_done']:,.0f} lines processed, {counts['num_skipped']:,.0f} skipped in"
        f" {time.monotonic() - began_s:.0f} s: {counts['cpu_s']:.0f} CPU-seconds,"
        f" memory grown by {counts['grown_mb']:.0f} MiB; the output has {size_mb:.0f} MiB",
        flush=True,
    )
    return counts["grown_mb"]


if __name__ == "__main__":
    main()
