"""Which engines a benchmark command offers.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

REFERENCE = "generate"
"""The engine whose tokens the others are compared with."""
BASELINE = "static"
"""The engine whose tokens per CPU-second the others are compared with."""
FLAMINGO = "flamingo"


@dataclass(frozen=True, slots=True)
class EngineCatalog:
    """One command's engines."""

    prog: str
    """The command, as its usage message names it."""
    descriptions: Mapping[str, str]
    """For `--help`, by the name of the engine, in the order of the table."""
    process_module: str
    """Module to run as the process of one engine: `engine_process`, or one that adds engines."""
    packages: Mapping[str, str]
    """Packages that engines need beyond the pod's own; without it an engine is skipped."""


BUNDLED = EngineCatalog(
    prog="flamingo bench",
    descriptions={
        REFERENCE: "transformers' generate, one request after the other; the reference"
        " that the others' tokens are compared with",
        BASELINE: "transformers' generate in left-padded batches of 8, each as long as its"
        " longest answer",
        FLAMINGO: "the engine that `flamingo serve` runs",
    },
    process_module="flamingo_pod.bench.engine_process",
    packages={},
)
"""Those of `flamingo bench engine`; tests/bench/engines adds those that need other packages."""
