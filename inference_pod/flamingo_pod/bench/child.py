"""One engine's process: a job on standard input, its outcome in a file."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from flamingo_pod.bench import children, job, outcome, task
from flamingo_pod.bench.outcome import BenchResult, NoResult
from flamingo_pod.bench.rivals import continuous, ours, transformers_generate, vllm_cpu
from flamingo_pod.bench.task import BenchTask, EngineUnavailable
from flamingo_pod.weights.errors import CannotLoad

RUN: Mapping[str, Callable[[BenchTask], BenchResult]] = {
    "generate": transformers_generate.one_by_one,
    "static": transformers_generate.static_batches,
    "continuous": continuous.run,
    "vllm": vllm_cpu.run,
    "ours": ours.run,
}


def main() -> None:
    """Do the job; a bug is a traceback and a status, told by the parent."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    todo = job.parse(sys.stdin.read())
    text = json.dumps(outcome.encode(_done(todo)))
    Path(todo.result).write_text(text, encoding="utf-8")


def _done(todo: job.BenchJob) -> BenchResult | NoResult:
    try:
        if todo.engine == children.PREPARE:
            task.load(todo.model)
            return NoResult("nothing was measured", is_failure=False)
        return RUN[todo.engine](task.create(todo.plan, todo.model))
    except EngineUnavailable as error:
        return NoResult(str(error), is_failure=False)
    except CannotLoad as error:
        return NoResult(str(error), is_failure=True)


if __name__ == "__main__":
    main()
