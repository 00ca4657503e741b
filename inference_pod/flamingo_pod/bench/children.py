"""Run each engine in a fresh process, so that its CPU-seconds, memory and caches are its own."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from flamingo_pod.bench import job as jobs
from flamingo_pod.bench import outcome
from flamingo_pod.bench.job import BenchJob
from flamingo_pod.bench.options import BenchOptions
from flamingo_pod.bench.outcome import BenchResult, NoResult

LIMIT_S = 3600.0
"""A rival that hangs ends its own run, not the whole benchmark."""
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
PREPARE = "prepare"
"""The engine that only loads: a built-in model is built by it, not by whoever comes first."""
NEEDS = {"vllm": "vllm"}
"""The package without which an engine is left out; never installed by us."""


def run(engine: str, options: BenchOptions) -> BenchResult | NoResult:
    """Return what came of `engine`, which says so in a file: libraries write where they like."""
    if engine in NEEDS and importlib.util.find_spec(NEEDS[engine]) is None:
        return NoResult(f"{NEEDS[engine]} is not installed", is_failure=False)
    with tempfile.TemporaryDirectory(prefix="flamingo-bench-") as folder:
        result = Path(folder) / "result.json"
        job = BenchJob(engine, options.plan, options.model, str(result))
        ended = _ended(job)
        if ended is None:
            return NoResult(f"not done after {LIMIT_S:.0f} s", is_failure=True)
        if ended.returncode != 0 or not result.exists():
            sys.stderr.write(ended.stderr)
            return NoResult(_last_words(ended), is_failure=True)
        return outcome.parse(json.loads(result.read_text(encoding="utf-8")))


def _ended(job: BenchJob) -> subprocess.CompletedProcess[str] | None:
    command = [sys.executable, "-P", "-m", "flamingo_pod.bench.child"]
    try:
        return subprocess.run(
            command,
            input=jobs.encode(job),
            env={**os.environ, **ONE_THREAD},
            capture_output=True,
            check=False,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return None


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    """Return how the process died: the end of its traceback."""
    lines = ended.stderr.strip().splitlines()
    return f"exit status {ended.returncode}: {lines[-1] if lines else 'it said nothing'}"
