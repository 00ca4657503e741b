"""The job of an engine's process, as JSON.

Pure.
"""

import json
from dataclasses import asdict, dataclass

from flamingo_pod.bench.workload import WorkloadPlan


@dataclass(frozen=True, slots=True)
class BenchJob:
    """Run `engine` on `plan` with `model`, and write the result to the file `result`."""

    engine: str
    plan: WorkloadPlan
    model: str
    result: str


def encode(job: BenchJob) -> str:
    """Return `job` as JSON."""
    return json.dumps(asdict(job))


def parse(text: str) -> BenchJob:
    """Return the job in the JSON text that `encode` returned."""
    fields = json.loads(text)
    return BenchJob(**{**fields, "plan": WorkloadPlan(**fields["plan"])})
