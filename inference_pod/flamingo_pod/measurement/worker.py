"""What runs in a worker process that measures clips."""

import functools
import importlib
import os

from flamingo_pod.audio import worker_limits
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFileAddress
from flamingo_pod.measurement import compiled_code, measure
from flamingo_pod.measurement.results import ClipMeasurements

MAX_CLIP_BYTES = 512 * 2**20
"""Address space for one clip, beyond that of the process with its libraries; 20 minutes take
194 MB."""
NICENESS = 5
"""The event loop, the engine and the decode workers go first where they want the same core, and a
worker still gets a quarter of it: with 10 it would get a tenth, and exceed its timeout."""


def prepare(folder: str | None) -> None:
    """Prepare the process; `folder` is for compiled code, None: numba's own choice."""
    os.nice(NICENESS)
    worker_limits.end_with_parent()
    compiled_code.set_variables(os.environ, folder)


@functools.cache
def _start() -> None:
    """Import and compile all that is needed, and limit the memory from then on."""
    measure.warm_up()
    # A clip is measured by one core, whatever the libraries find.
    importlib.import_module("threadpoolctl").threadpool_limits(1)
    worker_limits.limit_memory(MAX_CLIP_BYTES)


def measure_within_limits(
    source: MemoryFileAddress, limits: DecodeLimits, max_cpu_s: float
) -> ClipMeasurements:
    """Measure one clip in this process, within a limit of CPU time.

    Raises:
        FlamingoError: it cannot be decoded.
        MemoryFileClosed: the request was cancelled.
    """
    _start()
    worker_limits.limit_cpu_time(max_cpu_s)
    return measure.measure_clip(source, limits)
