"""What the parent process tells a child to do, as JSON.

Pure.
"""

import json
from dataclasses import asdict, dataclass

from flamingo_pod.bench.workload import WorkloadPlan


@dataclass(frozen=True, slots=True)
class BenchJob:
    """Run `engine` on `plan` with `model`, and write what came of it to the file `result`."""

    engine: str
    plan: WorkloadPlan
    model: str
    result: str


def encode(job: BenchJob) -> str:
    """Return `job` as JSON."""
    return json.dumps(asdict(job))


def parse(text: str) -> BenchJob:
    """Return what `encode` was given."""
    told = json.loads(text)
    return BenchJob(**{**told, "plan": WorkloadPlan(**told["plan"])})
