"""Engine options small enough for a test."""

from flamingo_pod.engine.options import EngineOptions


def engine_options(**changes):
    fields = {
        "kv_cache_tokens": 8192,
        "encoder_cache_bytes": 2**30,
        "model_impl": "fused",
        "max_num_seqs": 64,
    }
    return EngineOptions(**(fields | changes))
