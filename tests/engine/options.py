"""Engine options small enough for a test."""

import contextlib

from flamingo_pod.engine.options import EngineOptions

DEFAULTS = {
    "kv_cache_tokens": 8192,
    "encoder_cache_bytes": 2**30,
    "model_impl": "fused",
    "max_num_seqs": 64,
    "async_scheduling": False,
}


def engine_options(**changes):
    return EngineOptions(**(DEFAULTS | changes))


@contextlib.contextmanager
def by_default(**changes):
    """Change the options of all engines of a test."""
    before = dict(DEFAULTS)
    DEFAULTS.update(changes)
    yield
    DEFAULTS.update(before)
