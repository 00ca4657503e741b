"""The pod's metrics under vLLM's names, for its dashboards and for the Gateway API.

The Gateway API's inference extension needs three gauges of a model server: requests waiting,
requests running, and KV cache usage. They are the first three.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class MetricAlias:
    """One vLLM metric, and the metric of ours that it is derived from."""

    ours: str
    name: str
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Label values to include; samples with others are left out."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Labels to keep, with vLLM's names for them; samples are summed over all others."""


def _of(label: str, *values: str) -> Mapping[str, frozenset[str]]:
    return {label: frozenset(values)}


ALIASES = (
    MetricAlias("flamingo_requests_waiting", "num_requests_waiting"),
    MetricAlias("flamingo_requests_running", "num_requests_running"),
    MetricAlias("flamingo_kv_cache_usage_ratio", "kv_cache_usage_perc"),
    MetricAlias("flamingo_cache_queries", "prefix_cache_queries", _of("cache", "kv")),
    MetricAlias("flamingo_cache_hits", "prefix_cache_hits", _of("cache", "kv")),
    MetricAlias("flamingo_cache_queries", "mm_cache_queries", _of("cache", "states")),
    MetricAlias("flamingo_cache_hits", "mm_cache_hits", _of("cache", "states")),
    MetricAlias("flamingo_tokens", "prompt_tokens", _of("type", "audio", "text")),
    MetricAlias("flamingo_tokens", "generation_tokens", _of("type", "output")),
    MetricAlias("flamingo_choices", "request_success", kept={"finish_reason": "finished_reason"}),
    MetricAlias("flamingo_preemptions", "num_preemptions"),
    MetricAlias("flamingo_time_to_first_token_seconds", "time_to_first_token_seconds"),
    MetricAlias("flamingo_inter_token_latency_seconds", "inter_token_latency_seconds"),
    MetricAlias("flamingo_request_duration_seconds", "e2e_request_latency_seconds"),
    MetricAlias("flamingo_request_queue_time_seconds", "request_queue_time_seconds"),
    MetricAlias("flamingo_request_prefill_time_seconds", "request_prefill_time_seconds"),
    MetricAlias("flamingo_request_decode_time_seconds", "request_decode_time_seconds"),
    MetricAlias("flamingo_request_prompt_tokens", "request_prompt_tokens"),
    MetricAlias("flamingo_request_generation_tokens", "request_generation_tokens"),
)


CACHE_CONFIG = "vllm:cache_config_info"
KV_CACHE_SIZE = "flamingo_kv_cache_size_tokens"
BLOCK_TOKENS = 16
"""vLLM's default. Our KV cache has no blocks, so its size is stated in blocks of this size."""


class VllmAliasCollector(Collector):
    """Collects the aliases of what `native` collects."""

    def __init__(self, native: Collector, model: str) -> None:
        self._native = native
        self._model = model

    def collect(self) -> Iterator[Metric]:
        """Yield each alias whose metric exists."""
        families = {family.name: family for family in self._native.collect()}
        for alias in ALIASES:
            if alias.ours in families:
                yield _renamed(families[alias.ours], alias, self._model)
        if KV_CACHE_SIZE in families:
            yield _cache_config(families[KV_CACHE_SIZE], self._model)


def _cache_config(size: Metric, model: str) -> Metric:
    """Return the size of the KV cache as labels; without samples while it is not allocated."""
    family = GaugeMetricFamily(CACHE_CONFIG, "Size of the KV cache, in labels; always 1.")
    for num_tokens in (int(sample.value) for sample in size.samples if sample.value):
        labels = {
            "block_size": str(BLOCK_TOKENS),
            "num_gpu_blocks": str(num_tokens // BLOCK_TOKENS),
            "kv_cache_size_tokens": str(num_tokens),
            "enable_prefix_caching": "True",
            "model_name": model,
        }
        family.add_sample(CACHE_CONFIG, labels, 1.0)
    return family


def _renamed(family: Metric, alias: MetricAlias, model: str) -> Metric:
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    kept = {"le": "le", **alias.kept}
    for sample in family.samples:
        if all(sample.labels.get(name) in values for name, values in alias.only.items()):
            labels = tuple((kept[k], v) for k, v in sample.labels.items() if k in kept)
            at = (sample.name.removeprefix(family.name), labels)
            sums[at] = sums.get(at, 0.0) + sample.value
    name = f"vllm:{alias.name}"
    renamed = Metric(name, family.documentation, family.type)
    for (suffix, labels), value in sums.items():
        renamed.add_sample(name + suffix, {"model_name": model, **dict(labels)}, value)
    return renamed
