"""The process of one engine: reads a job from standard input, writes its result to a file."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from flamingo_pod.bench import job, processes, results, task
from flamingo_pod.bench.catalog import BASELINE, FLAMINGO, REFERENCE
from flamingo_pod.bench.engines import flamingo_engine, transformers_generate
from flamingo_pod.bench.results import BenchResult, NoResult
from flamingo_pod.bench.task import BenchTask, EngineUnavailable
from flamingo_pod.weights.errors import ModelLoadFailed

Run = Callable[[BenchTask], BenchResult]
ENGINES: Mapping[str, Run] = {
    REFERENCE: transformers_generate.run_one_by_one,
    BASELINE: transformers_generate.run_static_batches,
    FLAMINGO: flamingo_engine.run,
}


def main(engines: Mapping[str, Run]) -> None:
    """Run the job; a bug ends in a traceback, which the parent process reports."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    requested = job.parse(sys.stdin.read())
    text = json.dumps(results.encode(_result(requested, engines)))
    Path(requested.result).write_text(text, encoding="utf-8")


def _result(requested: job.BenchJob, engines: Mapping[str, Run]) -> BenchResult | NoResult:
    try:
        if requested.engine == processes.PREPARE:
            task.load(requested.model)
            return NoResult("nothing was measured", is_failure=False)
        return engines[requested.engine](task.create(requested.plan, requested.model))
    except EngineUnavailable as error:
        return NoResult(str(error), is_failure=False)
    except ModelLoadFailed as error:
        return NoResult(str(error), is_failure=True)


if __name__ == "__main__":
    main(ENGINES)
