"""`flamingo bench gpu`: how near the engine comes to what a device can do.

It makes the published model with random weights on the device, so no checkpoint is needed, checks
the engine's tokens against those of transformers' `generate`, and then measures steps, requests and
a saturated engine, each beside what the device reaches in a plain copy and matrix product. Each
measurement has a limit of time. One that fails is reported as such, and the others go on.
"""

import argparse
import functools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from flamingo_pod.bench import machine
from flamingo_pod.bench.gpu import ceilings, options, random_model, reference, results
from flamingo_pod.bench.gpu.engine_runs import EngineRuns
from flamingo_pod.bench.gpu.measurements import Measurements, Stage, rows_of
from flamingo_pod.bench.gpu.options import PROG
from flamingo_pod.bench.gpu.physics import Ceilings
from flamingo_pod.bench.gpu.plan import PUBLISHED, QUICK, BenchPlan
from flamingo_pod.bench.gpu.random_model import ModelSource
from flamingo_pod.bench.gpu.results import Equality, GpuReport, KernelError, Row
from flamingo_pod.engine.core import EngineCore
from flamingo_pod.engine.device import device_memory
from flamingo_pod.engine.device.device_memory import DeviceMemory
from flamingo_pod.engine.model_runner import backends
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.startup import memory_profile
from flamingo_pod.engine.startup.batch_size import default_max_num_seqs
from flamingo_pod.engine.startup.sizing import InsufficientMemory
from flamingo_pod.model.checkpoint import DTYPES, Checkpoint
from flamingo_pod.model.dimensions import dimensions_of
from flamingo_pod.model.gpu import find_gpu

EXIT_FAILED = 1
ENCODER_CACHE_BYTES = 2**30


@dataclass(slots=True)
class _Run:
    loaded: Checkpoint
    runs: EngineRuns
    plan: BenchPlan
    ceilings: Ceilings
    parsed: argparse.Namespace
    planned_bytes: int
    """Of the device's memory; 0 on a CPU."""
    equality: Equality | None = None


def main(argv: Sequence[str]) -> int:
    """Measure, print a table and write the report; return the exit status."""
    parsed, started_s = options.parse(argv, find_gpu()), time.monotonic()
    try:
        run = _prepare(parsed)
    except (InsufficientMemory, torch.OutOfMemoryError) as error:
        advice = "flamingo doctor says what fits; --model flamingo-tiny needs little"
        print(f"{PROG}: {error}; {advice}", file=sys.stderr)  # noqa: T201 - for the user
        return EXIT_FAILED
    choice, kernels = run.runs.core.backend, _kernels(run)
    rows = [_log(row) for row in rows_of(_stages(run))]
    report = GpuReport(
        command=[*PROG.split(), *argv],
        machine=_machine(run.runs.device),
        backend=choice.name,
        backend_reason=choice.reason,
        kernels=kernels,
        equality=run.equality,
        rows=rows,
        total_s=time.monotonic() - started_s,
    )
    _write(report, parsed.out)
    return EXIT_FAILED if report.failures else 0


def _write(report: GpuReport, out: Path | None) -> None:
    print(*report.lines(), sep="\n")  # noqa: T201
    if out is not None:
        out.write_text(json.dumps(report.encode(), indent=1), encoding="utf-8")


def _log(row: Row) -> Row:
    print(f"{PROG}: {row.line()}", file=sys.stderr, flush=True)  # noqa: T201 - progress
    return row


def _prepare(parsed: argparse.Namespace) -> _Run:
    device = torch.device(parsed.device)
    # First of all: afterwards the KV pool leaves no room for it.
    limits = ceilings.measure(device, DTYPES[parsed.dtype])
    device_memory.release_unused()
    loaded = random_model.load(
        ModelSource(parsed.model, parsed.device, parsed.dtype, parsed.quantization)
    )
    memory = device_memory.of_device(loaded.model.device)
    sized = memory_profile.size_memory(loaded, _engine_options(parsed, memory), memory)
    runs = EngineRuns(loaded, EngineCore(loaded, sized.options))
    plan = QUICK if parsed.quick else PUBLISHED
    return _Run(loaded, runs, plan, limits, parsed, sized.planned_bytes)


def _engine_options(parsed: argparse.Namespace, memory: DeviceMemory | None) -> EngineOptions:
    gpu_bytes = None if memory is None else memory.usable_bytes()
    return EngineOptions(
        kv_cache_tokens=parsed.kv_cache_tokens or 0,
        encoder_cache_bytes=ENCODER_CACHE_BYTES,
        model_impl="fused",
        max_num_seqs=parsed.max_num_seqs or default_max_num_seqs(gpu_bytes),
        async_scheduling=parsed.async_scheduling,
    )


def _kernels(run: _Run) -> list[KernelError]:
    """Return how far each kernel is from torch on the device."""
    device, model = run.runs.device, run.loaded.model
    if backends.unavailable_reason(device):
        return []
    is_fp8 = run.parsed.quantization is not None
    dimensions = dimensions_of(model.config.to_dict())
    found = backends.kernel_results(dimensions, device, model.dtype, is_fp8=is_fp8)
    return [KernelError(one.kernel, one.largest_error, one.limit, one.failure) for one in found]


def _stages(run: _Run) -> Iterator[Stage]:
    """Yield all stages, in their order."""
    costs = random_model.costs_of(run.loaded.model)
    yield Stage("equality", lambda: _equality(run))
    yield from Measurements(run.runs, costs, run.ceilings, run.plan).stages
    yield Stage("memory", lambda: _memory(run))
    run.runs.close()  # its KV pool leaves no room for that of `generate`
    for num in (1, run.plan.static_batch):
        measure = functools.partial(reference.generate_row, run.loaded, run.runs, run.plan, num)
        yield Stage(reference.generate_name(num), measure)


def _equality(run: _Run) -> Iterator[Row]:
    """Compare the tokens; what was allocated for it is not part of the engine's peak."""
    parsed, (num_equal, margin) = run.parsed, reference.equality(run.loaded, run.runs)
    is_quantized = parsed.quantization is not None
    run.equality = Equality(
        precision=parsed.dtype + ("+fp8" if is_quantized else ""),
        num_compared=reference.NUM_COMPARED_IN_ALL,
        num_equal=num_equal,
        largest_margin=margin,
        limit=results.margin_limit(parsed.model, parsed.dtype, is_quantized=is_quantized),
    )
    for line in run.equality.lines():
        print(f"{PROG}: {line}", file=sys.stderr, flush=True)  # noqa: T201 - progress
    if run.runs.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.runs.device)
    return iter(())


def _memory(run: _Run) -> Iterator[Row]:
    device = run.runs.device
    if device.type == "cuda":
        yield Row("planned memory", run.planned_bytes / 1e9, "GB", note="without the reserve")
        yield Row("peak memory", torch.cuda.max_memory_allocated(device) / 1e9, "GB")


def _machine(device: torch.device) -> dict[str, Any]:
    described = asdict(machine.describe())
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        described |= {
            "gpu": properties.name,
            "gpu_bytes": properties.total_memory,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
        }
    return described
