"""Recorded decoding steps: the same buffers and buckets, replayed without a GPU."""

import math

import numpy as np
import pytest
import torch
from engine.options import engine_options
from engine.sampling.rows import IN_PLACE_OF_KERNELS
from engine.workloads import Workload
from fakes.effort import examples
from fakes.mask_attention import MaskAttention
from structlog.testing import capture_logs

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.model_runner import buckets, create_runner, forward
from flamingo_pod.engine.model_runner.graphs import Decoded, DecodeGraphs
from flamingo_pod.engine.model_runner.layer_ops import TorchLayerOps
from flamingo_pod.engine.sampling.batch import PlainRows
from flamingo_pod.engine.sampling.plain import plain_tokens
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.steps.step_faults import SequenceFailed
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler

CPU = torch.device("cpu")
NUM_SLOTS = 1024


class Recorder:
    """A capture that runs the body anew at each replay, into the same memory, as a graph does."""

    def __init__(self):
        self.num_recorded = self.num_replays = 0

    def __call__(self, run):
        self.num_recorded += 1
        run()

        def replay():
            self.num_replays += 1
            run()

        return replay


@pytest.fixture(scope="module")
def compiler(tiny):
    vocabulary_size = tiny.model.config.text_config.vocab_size
    return GrammarCompiler(tiny.processor.tokenizer, vocabulary_size, tiny.limits.eos_token_ids)


def core_with(tiny, capture, **options):
    """Return a core whose attention reads only the arrays on the device, with or without graphs."""
    core = EngineCore(tiny, engine_options(kv_cache_tokens=NUM_SLOTS, **options))
    runner = core.runner
    attention = MaskAttention(runner.pool, tiny.model.config.text_config.num_attention_heads)
    runner.forward = forward.FusedForward(tiny.model, attention, TorchLayerOps())
    if capture is not None:
        runner.sampling_kernels = IN_PLACE_OF_KERNELS
        runner.graphs = DecodeGraphs(runner.decode, capture, CPU, runner.pool.trash_slot)
    return core


def outputs_of(core, num_prompts):
    rng, outputs = np.random.default_rng(num_prompts), []
    for number in range(num_prompts):
        ids = rng.integers(10, 200, size=3 + 5 * number).tolist()
        params = SamplingParams(max_tokens=4 + 3 * number, temperature=number % 2, ignore_eos=True)
        outputs.append([])
        core.submit(Prompt(ids), params, number, outputs[-1].append)
    while core.has_work():
        core.step()
    return outputs


@pytest.mark.parametrize("num_prompts", [1, 2, 3, 5, 9])
def test_recorded_steps_give_the_same_tokens_while_sequences_come_and_go(tiny, num_prompts):
    recorder = Recorder()
    found = outputs_of(core_with(tiny, recorder), num_prompts)
    assert found == outputs_of(core_with(tiny, None), num_prompts)
    assert recorder.num_replays > recorder.num_recorded > 0


@pytest.mark.parametrize("is_asynchronous", [False, True])
@pytest.mark.parametrize("seed", range(examples(12)))
def test_recorded_steps_sample_as_others_whatever_is_requested(
    tiny, compiler, seed, is_asynchronous
):
    recorder = Recorder()
    core = core_with(tiny, recorder, async_scheduling=is_asynchronous)
    found = Workload(seed, compiler).outputs(core)
    assert found == Workload(seed, compiler).outputs(core_with(tiny, None))
    assert recorder.num_replays > 0


@pytest.mark.parametrize("is_asynchronous", [False, True])
@pytest.mark.parametrize("seed", range(examples(6)))
def test_recorded_steps_force_the_tokens_that_others_force(tiny, tables, seed, is_asynchronous):
    recorder = Recorder()
    core = core_with(tiny, recorder, async_scheduling=is_asynchronous)
    found = Workload(seed, tables=[tables]).outputs(core)
    assert found == Workload(seed, tables=[tables]).outputs(core_with(tiny, None))
    assert recorder.num_replays > 0


def test_a_row_of_nan_fails_alone(tiny):
    core, numbers = core_with(tiny, Recorder()), iter(range(10**6))
    decode = core.runner.graphs._body

    def poisoned(batch, plain):
        logits, token_ids = decode(batch, plain)
        if next(numbers) == 3:  # the second replay
            logits[1] = math.nan
            token_ids = plain_tokens(logits, plain)
        return Decoded(logits, token_ids)

    core.runner.graphs._body = poisoned
    good, bad = outputs_of(core, 2)
    assert isinstance(bad[-1], SequenceFailed)
    assert good == outputs_of(core_with(tiny, None), 2)[0]


def test_graphs_that_sample_other_tokens_are_not_used(tiny):
    graphs = core_with(tiny, Recorder()).runner.graphs
    decode = graphs._body

    def wrong(batch, plain):
        logits, _ = decode(batch, plain)
        return Decoded(logits, logits.argmin(dim=-1))

    graphs._body = wrong
    with capture_logs() as logged:
        assert create_runner.usable(graphs, 4) is None
    assert "not the likeliest" in logged[0]["reason"]


def test_padded_rows_write_to_the_trash_slot_alone(tiny):
    core = core_with(tiny, Recorder())
    pool = core.runner.pool
    for each in (*pool.keys, *pool.values):
        each.fill_(torch.nan)
    outputs = outputs_of(core, 3)
    used = [len(prompt_outputs) for prompt_outputs in outputs]
    assert sum(used) == 4 + 7 + 10
    written = ~pool.keys[0].isnan().all(dim=(-1, -2))
    assert written[pool.trash_slot]
    assert written.sum() == 1 + sum(3 + 5 * number + used[number] - 1 for number in range(3))


def test_each_size_is_recorded_once_and_the_largest_first(tiny):
    sizes = []

    def body(batch, plain):
        assert len(batch.token_ids) == len(plain.keys)
        sizes.append(len(batch.token_ids))
        return Decoded(torch.zeros(sizes[-1], 1), torch.zeros(sizes[-1], dtype=torch.int64))

    recorder = Recorder()
    graphs = DecodeGraphs(body, recorder, CPU, trash_slot=0)
    graphs.record(max_rows=20)
    assert sizes == [size for size in [24, 16, 8, 4, 2, 1] for _ in range(2)], "once before"
    for rows in (3, 24):
        graphs.decode(buckets.unused(rows, trash_slot=0), PlainRows.greedy(rows))
    assert recorder.num_recorded == 6


def test_a_batch_of_more_rows_than_any_bucket_has_no_graph():
    num_rows = buckets.BUCKETS[-1] + 1
    graphs = DecodeGraphs(lambda *_: None, Recorder(), CPU, trash_slot=0)
    batch = buckets.unused(num_rows, trash_slot=0)
    assert graphs.decode(batch, PlainRows.greedy(num_rows)) is None


def decoded_trial(graphs, num_rows):
    return graphs.decode(buckets.trial(num_rows), PlainRows.greedy(num_rows))


def test_all_sizes_write_their_outputs_to_the_same_memory():
    def body(batch, plain):
        return Decoded(batch.positions[:, None] + 0.5, batch.positions.long() + 7)

    graphs = DecodeGraphs(body, Recorder(), CPU, 64)
    graphs.record(max_rows=20)
    many, few = (decoded_trial(graphs, num_rows) for num_rows in (20, 3))
    for outputs, others in zip(many, few, strict=True):
        assert outputs.data_ptr() == others.data_ptr()
        assert (len(outputs), len(others)) == (20, 3)
    assert few.logits.tolist() == [[1.5], [2.5], [3.5]]
    assert few.token_ids.tolist() == [8, 9, 10]


class Frozen(Recorder):
    """A capture in which a value of the host is constant, as it would be in a graph."""

    def __call__(self, run):
        run()
        return lambda: None


class Fails(Recorder):
    """A capture during which something waits for the device."""

    def __init__(self, message):
        self.message = message

    def __call__(self, run):
        raise RuntimeError(self.message)


def test_graphs_that_compute_what_a_launch_does_are_used(tiny):
    graphs = core_with(tiny, Recorder()).runner.graphs
    assert create_runner.usable(graphs, 20) is graphs


@pytest.mark.parametrize(
    "capture",
    [Frozen(), Fails("CUDA error: operation not permitted when stream is capturing")],
    ids=["frozen", "fails"],
)
def test_graphs_that_cannot_be_recorded_or_compute_something_else_are_not_used(tiny, capture):
    graphs = core_with(tiny, capture).runner.graphs
    with capture_logs() as logged:
        assert create_runner.usable(graphs, 20) is None
    assert [entry["event"] for entry in logged] == ["graphs.not_used"]


def test_a_device_that_is_lost_during_a_capture_is_an_error(tiny):
    lost = Fails("CUDA error: an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="illegal memory access"):
        create_runner.usable(core_with(tiny, lost).runner.graphs, 20)


def test_nothing_of_a_recorded_step_is_kept_for_a_gradient(tiny):
    graphs = core_with(tiny, Recorder()).runner.graphs
    graphs.record(4)
    assert not decoded_trial(graphs, 3).logits.requires_grad
