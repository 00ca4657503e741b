"""What the parent process tells a child to do, as JSON.

Pure.
"""

import json
from dataclasses import asdict, dataclass

from flamingo_pod.bench.workload import Plan


@dataclass(frozen=True, slots=True)
class Job:
    """Run `engine` on `plan` with `model`, and write what came of it to the file `result`."""

    engine: str
    plan: Plan
    model: str
    result: str


def encode(job: Job) -> str:
    """Return `job` as JSON."""
    return json.dumps(asdict(job))


def parse(text: str) -> Job:
    """Return what `encode` was given."""
    told = json.loads(text)
    return Job(**{**told, "plan": Plan(**told["plan"])})
