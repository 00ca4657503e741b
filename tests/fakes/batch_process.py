"""A batch of captions as a process: `batch_process.py URL SOURCE OUTPUT [OPTIONS]`.

The source is a folder or a `.jsonl` manifest, the options are JSON. When it has ended, it prints
the counts of its run, its CPU time, and by how much its memory has grown since it was started.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

from flamingo import FlamingoClient, open_source

MB = 2**20


def memory_mb(field: str) -> float:
    """Return VmRSS or VmHWM (its peak) of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024 / MB


def main() -> None:
    url, place, output, *options = sys.argv[1:]
    fields = json.loads(options[0]) if options else {}
    before_mb, before_s = memory_mb("VmRSS"), time.process_time()
    with FlamingoClient(url) as client:
        batch = client.batch_caption(open_source(place), output_dir=output, **fields)
        for _ in batch:
            pass
    grown_mb = memory_mb("VmHWM") - before_mb
    used = {"cpu_s": time.process_time() - before_s, "grown_mb": grown_mb}
    sys.stdout.write(json.dumps(dataclasses.asdict(batch.progress) | used) + "\n")


if __name__ == "__main__":
    main()
