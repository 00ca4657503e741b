"""Runs each engine in a fresh process, so that CPU time, memory and caches are its own."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from flamingo_pod.bench import job as jobs
from flamingo_pod.bench import results
from flamingo_pod.bench.catalog import EngineCatalog
from flamingo_pod.bench.job import BenchJob
from flamingo_pod.bench.options import BenchOptions
from flamingo_pod.bench.results import BenchResult, NoResult

TIMEOUT_S = 3600.0
"""Of one run: an engine that hangs does not end the whole benchmark."""
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
PREPARE = "prepare"
"""Only loads the model, so that a built-in one is not built by the first engine measured."""


def run_engine(
    engine: str, options: BenchOptions, catalog: EngineCatalog
) -> BenchResult | NoResult:
    """Return the result of `engine`, from a file: its libraries may print anything."""
    package = catalog.packages.get(engine)
    if package is not None and importlib.util.find_spec(package) is None:
        return NoResult(f"{package} is not installed", is_failure=False)
    with tempfile.TemporaryDirectory(prefix="flamingo-bench-") as folder:
        path = Path(folder) / "result.json"
        job = BenchJob(engine, options.plan, options.model, str(path))
        process = _run(job, catalog.process_module)
        if process is None:
            return NoResult(f"timed out after {TIMEOUT_S:.0f} s", is_failure=True)
        if process.returncode != 0 or not path.exists():
            sys.stderr.write(process.stderr)
            return NoResult(_error(process), is_failure=True)
        return results.parse(json.loads(path.read_text(encoding="utf-8")))


def _run(job: BenchJob, module: str) -> subprocess.CompletedProcess[str] | None:
    command = [sys.executable, "-P", "-m", module]
    try:
        return subprocess.run(
            command,
            input=jobs.encode(job),
            env={**os.environ, **ONE_THREAD},
            capture_output=True,
            check=False,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return None


def _error(process: subprocess.CompletedProcess[str]) -> str:
    """Return the exit status and the last line of the traceback."""
    lines = process.stderr.strip().splitlines()
    return f"exit status {process.returncode}: {lines[-1] if lines else 'no output'}"
