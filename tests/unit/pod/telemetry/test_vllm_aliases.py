"""The aliases of a registry's metrics under vLLM's names."""

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from flamingo_pod.telemetry.vllm_aliases import VllmAliasCollector


def exported(num_tokens):
    """Return what a pod with a KV cache of that size exports under vLLM's names."""
    native, theirs = CollectorRegistry(), CollectorRegistry()
    Gauge("flamingo_kv_cache_size_tokens", "Capacity.", registry=native).set(num_tokens)
    theirs.register(VllmAliasCollector(native, "music"))
    return generate_latest(theirs).decode()


@pytest.mark.parametrize(("num_tokens", "num_blocks"), [(16_384, 1024), (1000, 62)])
def test_the_size_of_the_kv_cache_is_stated_in_blocks(num_tokens, num_blocks):
    (line,) = [one for one in exported(num_tokens).splitlines() if not one.startswith("#")]
    assert line.startswith("vllm:cache_config_info{")
    assert line.endswith("} 1.0")
    for label in (
        'block_size="16"',
        f'num_gpu_blocks="{num_blocks}"',
        f'kv_cache_size_tokens="{num_tokens}"',
        'model_name="music"',
    ):
        assert label in line


def test_a_kv_cache_that_is_not_allocated_yet_has_no_size():
    assert "vllm:cache_config_info{" not in exported(0)
