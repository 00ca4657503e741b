"""Create a model runner: its KV pool, forward pass, audio encoder and recorded steps."""

from typing import Any

from flamingo_common.service import logs
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.device import device_faults
from flamingo_pod.engine.device.device_faults import DeviceFault
from flamingo_pod.engine.device.stage_clock import StageClock
from flamingo_pod.engine.encoding.encoder import AudioEncoder
from flamingo_pod.engine.model_runner import backends
from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.backends import BackendChoice
from flamingo_pod.engine.model_runner.forward import Forward, FusedForward, TransformersForward
from flamingo_pod.engine.model_runner.graphs import CudaCapture, DecodeGraphs
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.engine.model_runner.runner import ModelRunner
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.model import fp8
from flamingo_pod.model.checkpoint import Checkpoint
from flamingo_pod.model.dimensions import dimensions_of


def choose_backend(checkpoint: Checkpoint, options: EngineOptions) -> BackendChoice:
    """Return which implementation computes the decoder layers."""
    if options.model_impl == "transformers":
        return BackendChoice("torch", "the model implementation is transformers")
    weight = checkpoint.model.lm_head.weight
    dimensions = dimensions_of(checkpoint.model.config.to_dict())
    is_fp8 = fp8.has_fp8(checkpoint.model.model.language_model)
    return backends.choose(dimensions, weight.device, weight.dtype, is_fp8=is_fp8)


def create_runner(
    checkpoint: Checkpoint, options: EngineOptions, choice: BackendChoice, profile: EngineProfile
) -> ModelRunner:
    """Return a runner with an empty pool."""
    model: Any = checkpoint.model
    config = model.config.text_config
    pool = KvPool(config, options.kv_cache_tokens, model.lm_head.weight)
    clock = StageClock.of_device(model.device)
    encoder = AudioEncoder(
        checkpoint,
        profile,
        clock,
        max_cache_bytes=options.encoder_cache_bytes,
        are_caches_on_host=options.are_caches_on_host,
    )
    if options.model_impl == "transformers":
        reference = TransformersForward(model, AttentionByRuns(pool, config.num_attention_heads))
        return ModelRunner(checkpoint, pool, reference, encoder, profile, clock)
    backend = backends.create(choice.name, pool, config.num_attention_heads)
    forward: Forward = FusedForward(model, backend.attention, backend.ops)
    kernels = backend.sampling_kernels
    runner = ModelRunner(checkpoint, pool, forward, encoder, profile, clock, kernels)
    if backend.is_recordable and model.device.type == "cuda":
        graphs = DecodeGraphs(runner.decode, CudaCapture(), model.device, pool.trash_slot)
        runner.graphs = usable(graphs, options.max_num_seqs)
    return runner


def usable(graphs: DecodeGraphs, max_rows: int) -> DecodeGraphs | None:
    """Return `graphs` with all sizes recorded; None, and why in the log, if they cannot be used.

    Steps are then launched kernel by kernel, which is slower.
    """
    try:
        graphs.record(max_rows)
        reason = graphs.disagreement()
    except Exception as error:
        if device_faults.classify(error) is DeviceFault.DEVICE_LOST:
            raise
        reason = f"{type(error).__name__}: {error}"
    if reason is None:
        return graphs
    logs.get().warning("graphs.not_used", reason=reason)
    return None
