"""A pod's Prometheus metrics that are read at scrape time."""

import time
from collections.abc import Iterator, Mapping
from importlib import metadata

import torch
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flamingo_common.wire.report import LoadReport, LowLoadReport
from flamingo_pod.pod import CACHES, HELD, Pod

EXTENT_STATES = ("free", "prefix", "running_tail", "cached_tail")


class PodCollector(Collector):
    """Collects the load report and the engine's own counters."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their current values."""
        yield from self._load()
        yield from self._engine()
        yield _labelled(
            GaugeMetricFamily,
            "flamingo_build_info",
            "Version, model and implementation; always 1.",
            self._build_info(),
        )
        yield _device_memory(self._pod)

    def _load(self) -> Iterator[Metric]:
        report = self._pod.load_report()
        size, used = report.num_kv_tokens or 0, report.num_kv_tokens_used or 0
        values = {
            "flamingo_requests_running": ("Answers the engine is working on.", report.num_running),
            "flamingo_requests_waiting": ("Answers waiting to be started.", report.num_waiting),
            "flamingo_backlog_seconds": ("Predicted seconds of work in flight.", report.backlog_s),
            "flamingo_ready": (
                "1 if the pod accepts requests, else 0.",
                float(report.state == "ready"),
            ),
            "flamingo_clips_cached": ("Clips in the caches that have a name.", len(report.clips)),
            "flamingo_clips_held": (
                "Clips that can be used again by their id.",
                len(self._pod.memory_budget.held),
            ),
            "flamingo_request_memory_bytes": (
                "Memory reserved for bodies and clips, limited by --max-request-memory-bytes.",
                self._pod.memory_budget.num_bytes,
            ),
            "flamingo_kv_cache_size_tokens": ("Capacity of the KV cache in tokens.", size),
            "flamingo_kv_cache_usage_ratio": (
                "Fraction of the KV cache in use by running sequences; cached prefixes are free.",
                used / size if size else 0.0,
            ),
        }
        for name, (documentation, value) in values.items():
            yield GaugeMetricFamily(name, documentation, value=value)
        yield _labelled(
            GaugeMetricFamily,
            "flamingo_requests_in_flight",
            "Answers in flight, by priority (`low`, or `live` for all others) and state.",
            _by_priority(report),
        )

    def _engine(self) -> Iterator[Metric]:
        profile, engine = self._pod.profile, self._pod.engine
        yield _labelled(
            CounterMetricFamily,
            "flamingo_engine_seconds",
            "Time the engine has spent, by stage.",
            {(("stage", name),): seconds for name, seconds in profile.stages.items()},
        )
        counts = {
            "flamingo_engine_steps": ("Engine steps.", profile.num_steps),
            "flamingo_engine_windows": ("Windows of 30 s encoded.", profile.num_windows),
            "flamingo_preemptions": (
                "Sequences preempted for older ones, or of low priority for live ones.",
                engine.num_preemptions if engine else 0,
            ),
        }
        for name, (documentation, value) in counts.items():
            yield CounterMetricFamily(name, documentation, value=value)
        sizes = engine.cache_sizes_bytes() if engine else dict.fromkeys(CACHES[:2], 0)
        lookups, held = self._pod.cache_lookups(), self._pod.memory_budget.held
        for place, (name, verb) in enumerate((("queries", "Lookups in"), ("hits", "Hits in"))):
            yield _labelled(
                CounterMetricFamily,
                f"flamingo_cache_{name}",
                f"{verb} a cache: windows in `states` and `embeddings`, prompt tokens in `kv`,"
                " clips by their id in `held`.",
                {(("cache", kind),): pair[place] for kind, pair in lookups.items()},
            )
        yield _labelled(
            GaugeMetricFamily,
            "flamingo_cache_size_bytes",
            "Size of the audio encoder's caches, its outputs (`states`) and their projections, and"
            " of the clips that are `held`.",
            _by("cache", {**sizes, HELD: held.num_bytes}),
        )
        yield _labelled(
            GaugeMetricFamily,
            "flamingo_kv_cache_extents",
            "Contiguous runs of the KV cache: free ones, prefixes, and tails after them.",
            _by("state", engine.num_kv_extents() if engine else dict.fromkeys(EXTENT_STATES, 0)),
        )
        # Converted from the monotonic clock to the wall clock.
        ago_s = time.monotonic() - engine.last_progress_s if engine else 0.0
        yield GaugeMetricFamily(
            "flamingo_engine_last_progress_timestamp_seconds",
            "Unix time at which the engine last began or ended a step.",
            value=time.time() - ago_s,
        )

    def _build_info(self) -> Mapping[tuple[tuple[str, str], ...], float]:
        settings = self._pod.settings
        labels = {
            "version": metadata.version("flamingo-fleet"),
            "torch": torch.__version__,
            "model": settings.model,
            "model_impl": settings.model_impl,
        }
        return {tuple(labels.items()): 1.0}


def _by_priority(report: LoadReport) -> dict[tuple[tuple[str, str], ...], float]:
    low = report.low or LowLoadReport(backlog_s=0, queued_s=0, num_running=0, num_waiting=0)
    numbers = {
        ("live", "running"): report.num_running - low.num_running,
        ("live", "waiting"): max(report.num_waiting - low.num_waiting, 0),
        ("low", "running"): low.num_running,
        ("low", "waiting"): low.num_waiting,
    }
    return {
        (("priority", priority), ("state", state)): number
        for (priority, state), number in numbers.items()
    }


def _by(label: str, values: Mapping[str, float]) -> dict[tuple[tuple[str, str], ...], float]:
    return {((label, name),): value for name, value in values.items()}


def _labelled(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    documentation: str,
    values: Mapping[tuple[tuple[str, str], ...], float],
) -> Metric:
    names = [name for name, _ in next(iter(values), ())]
    family = kind(name, documentation, labels=names)
    for labels, value in values.items():
        family.add_metric([text for _, text in labels], value)
    return family


def _device_memory(pod: Pod) -> Metric:
    """Return the GPU's memory; without a GPU, or once it may be lost, there are no samples."""
    family = GaugeMetricFamily(
        "flamingo_device_memory_bytes", "GPU memory, by use.", labels=["use"]
    )
    if pod.engine is not None and not pod.engine.is_broken and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        family.add_metric(["allocated"], torch.cuda.memory_allocated())
        family.add_metric(["reserved"], torch.cuda.memory_reserved())
        family.add_metric(["free"], free)
        family.add_metric(["total"], total)
    return family
