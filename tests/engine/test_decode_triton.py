"""Decode steps by Triton kernels, in its interpreter: as by torch, and `generate`'s tokens."""

import importlib
import importlib.util

import pytest
import torch
from engine.test_attention import BATCHES, NUM_HEADS, NUM_KV, NUM_SLOTS, WIDTH, Config
from engine.test_core import QUESTION, Case, core_of, drain, sound
from engine.test_fp8_engine import TIE
from fakes.wanted import absent

from flamingo_pod.bench import teacher_forcing
from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.device_batch import to_device
from flamingo_pod.engine.model_runner.forward import FusedForward
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.engine.sampling.launch import SamplingKernels
from flamingo_pod.model import checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:overflow")  # of exp, in numpy


@pytest.fixture(scope="module")
def attention_type():
    return imported("model_runner.attention.decode_triton").DecodeTritonAttention


@pytest.fixture(scope="module")
def layer_ops():
    return imported("model_runner.triton_layer_ops").TritonLayerOps()


def imported(name):
    if importlib.util.find_spec("triton") is None:
        absent("triton", "it is part of the extra dev, on Linux")
    return importlib.import_module(f"flamingo_pod.engine.{name}")


def filled_pool(seed):
    """Return a pool that is NaN where no batch reads or writes."""
    pool = KvPool(Config, NUM_SLOTS, torch.empty(0))
    generator = torch.Generator().manual_seed(seed)
    for each in (*pool.keys, *pool.values):
        each.copy_(torch.randn(each.shape, generator=generator))
        each[160:] = torch.nan
    return pool


@pytest.mark.parametrize("name", BATCHES)
def test_attention_and_pool_are_as_by_torch(attention_type, name):
    batch = to_device(BATCHES[name], torch.device("cpu"))
    torch.manual_seed(1)
    packed = torch.randn(batch.host.num_rows, (NUM_HEADS + 2 * NUM_KV) * WIDTH)
    angles = torch.randn(batch.host.num_rows, WIDTH)
    results = []
    for uses_kernels in (False, True):
        pool = filled_pool(2)
        by_runs = AttentionByRuns(pool, NUM_HEADS)
        attention = attention_type(pool, by_runs) if uses_kernels else by_runs
        attention.plan(batch)
        out = attention.write_and_attend(1, packed, (angles.cos(), angles.sin()))
        results.append((out, torch.stack(pool.keys), torch.stack(pool.values)))
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)


def with_kernels(core, attention_type, layer_ops):
    """Let a core run its forward passes by Triton kernels."""
    model, pool = core.runner.checkpoint.model, core.runner.pool
    by_runs = AttentionByRuns(pool, model.config.text_config.num_attention_heads)
    attention = attention_type(pool, by_runs)
    core.runner.forward = FusedForward(model, attention, layer_ops)
    core.runner.sampling_kernels = SamplingKernels(
        imported("kernels.plain_tokens").plain_tokens,
        imported("kernels.picked_tokens").picked_tokens,
    )
    return core


def test_tokens_are_those_of_generate(tiny, attention_type, layer_ops):
    core = with_kernels(core_of(tiny), attention_type, layer_ops)
    first = Case(tiny, sound(1), num_tokens=6)
    cases = [first, Case(tiny, None, num_tokens=6)]
    for case in cases:
        case.submit(core)
    drain(core)
    # The clip's prefix is shared: this one's rows have two runs.
    cases.append(Case(tiny, first.samples, num_tokens=6, question="Who sings?").submit(core))
    drain(core)
    for case in cases:
        assert case.tokens == case.expected()


def test_in_fp8_tokens_are_what_transformers_finds_most_likely(
    source_of, attention_type, layer_ops
):
    loaded = checkpoint.load(source_of(quantization="fp8"))
    core = with_kernels(core_of(loaded), attention_type, layer_ops)
    case = Case(loaded, sound(1), num_tokens=6).submit(core)
    drain(core)
    inputs = teacher_forcing.make_inputs(loaded, case.samples, QUESTION)
    predicted = teacher_forcing.log_probabilities(loaded, inputs, case.tokens)
    chosen = predicted[range(len(case.tokens)), case.tokens]
    assert (predicted.amax(-1) - chosen).max() < 2 * TIE
