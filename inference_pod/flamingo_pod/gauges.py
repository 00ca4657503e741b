"""What a pod is doing, read when somebody scrapes it."""

import time
from collections.abc import Iterator, Mapping
from importlib import metadata

import torch
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flamingo_pod.pod import Pod

CACHES = ("states", "embeddings", "kv")


class PodCollector(Collector):
    """The load report, and the engine's own counts."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def collect(self) -> Iterator[Metric]:
        """Yield each figure as it is now."""
        yield from self._load()
        yield from self._engine()
        yield _labelled(
            GaugeMetricFamily, "flamingo_build_info", "What runs here; always 1.", self._build()
        )
        yield _memory(self._pod)

    def _load(self) -> Iterator[Metric]:
        report = self._pod.report()
        size, used = report.num_kv_tokens or 0, report.num_kv_tokens_used or 0
        figures = {
            "flamingo_requests_running": ("Answers the engine works on.", report.num_running),
            "flamingo_requests_waiting": ("Answers that wait for it.", report.num_waiting),
            "flamingo_backlog_seconds": ("Predicted seconds of work left.", report.backlog_s),
            "flamingo_ready": ("1 when the pod takes work.", float(report.state == "ready")),
            "flamingo_clips_cached": ("Clips with a name that caches hold.", len(report.clips)),
            "flamingo_kv_cache_size_tokens": ("Tokens of KV that fit.", size),
            "flamingo_kv_cache_usage_ratio": (
                "Part of the KV pool that running sequences hold; what is only cached is free.",
                used / size if size else 0.0,
            ),
        }
        for name, (documentation, value) in figures.items():
            yield GaugeMetricFamily(name, documentation, value=value)

    def _engine(self) -> Iterator[Metric]:
        profile, engine = self._pod.profile, self._pod.engine
        yield _labelled(
            CounterMetricFamily,
            "flamingo_engine_seconds",
            "Seconds the engine spent, by stage.",
            {(("stage", name),): seconds for name, seconds in profile.stages.items()},
        )
        counts = {
            "flamingo_engine_steps": ("Steps of the engine.", profile.num_steps),
            "flamingo_engine_windows": ("30 s windows encoded.", profile.num_windows),
            "flamingo_preemptions": (
                "Sequences put back for an older one.",
                engine.num_preemptions if engine else 0,
            ),
        }
        for name, (documentation, value) in counts.items():
            yield CounterMetricFamily(name, documentation, value=value)
        lookups = engine.cache_lookups() if engine else dict.fromkeys(CACHES, (0, 0))
        for place, (name, told) in enumerate((("queries", "Lookups in"), ("hits", "Hits in"))):
            yield _labelled(
                CounterMetricFamily,
                f"flamingo_cache_{name}",
                f"{told} a cache: windows in `states` and `embeddings`, prompt tokens in `kv`.",
                {(("cache", kind),): pair[place] for kind, pair in lookups.items()},
            )
        # A moment of the monotonic clock, told as one of the wall's.
        ago_s = time.monotonic() - engine.last_progress_s if engine else 0.0
        yield GaugeMetricFamily(
            "flamingo_engine_last_progress_timestamp_seconds",
            "When the engine last began or ended a step.",
            value=time.time() - ago_s,
        )

    def _build(self) -> Mapping[tuple[tuple[str, str], ...], float]:
        settings = self._pod.settings
        facts = {
            "version": metadata.version("flamingo-fleet"),
            "torch": torch.__version__,
            "model": settings.model,
            "model_impl": settings.model_impl,
        }
        return {tuple(facts.items()): 1.0}


def _labelled(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    documentation: str,
    figures: Mapping[tuple[tuple[str, str], ...], float],
) -> Metric:
    names = [name for name, _ in next(iter(figures), ())]
    family = kind(name, documentation, labels=names)
    for labels, value in figures.items():
        family.add_metric([text for _, text in labels], value)
    return family


def _memory(pod: Pod) -> Metric:
    """Return the accelerator's memory; without one there are no samples."""
    family = GaugeMetricFamily(
        "flamingo_device_memory_bytes", "Memory of the accelerator, by use.", labels=["use"]
    )
    if pod.engine is not None and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        family.add_metric(["allocated"], torch.cuda.memory_allocated())
        family.add_metric(["reserved"], torch.cuda.memory_reserved())
        family.add_metric(["free"], free)
        family.add_metric(["total"], total)
    return family
