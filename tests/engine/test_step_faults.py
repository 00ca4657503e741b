"""What becomes of a step that fails, by the kind of its error.

The errors are those of a GPU, raised by the real forward pass and encoder of a CPU.
"""

import weakref

import numpy as np
import pytest
import torch
from engine.options import engine_options

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.scheduling.memory import KvCopy
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.scheduling.smaller_steps import MIN_ROWS
from flamingo_pod.engine.scheduling.step_plan import StepPlan
from flamingo_pod.engine.startup.trial_prompts import TrialPrompts
from flamingo_pod.engine.steps.step_faults import EngineBroken

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB."
LOST = "CUDA error: an illegal memory access was encountered"


class Failing:
    """A forward pass, or an encoder's method, that fails under a condition."""

    def __init__(self, function, fails, message):
        self.function, self.fails, self.message = function, fails, message
        self.num_failures = 0

    def __call__(self, *arguments):
        if self.fails(*arguments):
            self.num_failures += 1
            raise RuntimeError(self.message)
        return self.function(*arguments)


class Wrapped:
    """A runner of which some methods are others."""

    def __init__(self, runner, **methods):
        self.__dict__.update(methods, _runner=runner)

    def __getattr__(self, name):
        return getattr(self._runner, name)


def core_of(checkpoint):
    return EngineCore(checkpoint, engine_options())


def requests(checkpoint):
    """Return prompts of two clips, a long text and short ones, in all ways of sampling."""
    prompts = TrialPrompts(checkpoint, b"")
    noise = np.random.default_rng(7).standard_normal(16_000 * 40, np.float32) * np.float32(0.1)
    audio = ClipAudio.from_samples(noise)
    slots = [checkpoint.processor.audio_token_id] * audio.num_tokens
    other = Prompt([10, 11, *slots, 12, 13], audio), SamplingParams(6, ignore_eos=True)
    return [prompts.clip(95), other, prompts.text(700), *prompts.rows(5)]


def answers(core, all_requests):
    """Return the outputs of each request."""
    outputs = [[] for _ in all_requests]
    for (prompt, params), emitted in zip(all_requests, outputs, strict=True):
        core.submit(prompt, params, 0, emitted.append)
    while core.has_work():
        core.step()
    return outputs


def tokens(outputs):
    return [[output.token_id for output in each] for each in outputs]


def rows_of(*arguments):
    return len(arguments[0])


@pytest.mark.parametrize("max_rows", [600, 100, 16])
def test_a_step_that_runs_out_of_memory_is_run_in_smaller_ones(tiny, max_rows):
    expected = tokens(answers(core_of(tiny), requests(tiny)))
    core = core_of(tiny)
    core.runner.forward = failing = Failing(
        core.runner.forward, lambda *given: rows_of(*given) > max_rows, OUT_OF_MEMORY
    )
    assert tokens(answers(core, requests(tiny))) == expected
    assert failing.num_failures > 0


def test_windows_that_run_out_of_memory_are_encoded_in_smaller_batches(tiny):
    expected = tokens(answers(core_of(tiny), requests(tiny)))
    core = core_of(tiny)
    core.runner.encoder.project = failing = Failing(
        core.runner.encoder.project, lambda *given: rows_of(*given) > 1, OUT_OF_MEMORY
    )
    assert tokens(answers(core, requests(tiny))) == expected
    assert failing.num_failures > 0


def test_later_steps_have_less_of_what_did_not_fit(tiny):
    core = core_of(tiny)
    before = core.scheduler.budget.max_tokens
    core.runner.forward = failing = Failing(
        core.runner.forward, lambda *given: rows_of(*given) > before // 2, OUT_OF_MEMORY
    )
    for salt in (b"", b"again"):
        answers(core, [TrialPrompts(tiny, salt).text(before)])
        assert core.scheduler.budget.max_tokens == before // 2
        assert failing.num_failures == 1
    assert core.scheduler.limits == core_of(tiny).scheduler.limits


def test_later_steps_encode_fewer_windows_if_they_did_not_fit(tiny):
    core = core_of(tiny)
    before = core.scheduler.budget.max_tokens
    core.runner.encoder.project = failing = Failing(
        core.runner.encoder.project, lambda *given: rows_of(*given) > 2, OUT_OF_MEMORY
    )
    for salt in (b"", b"again"):
        answers(core, [TrialPrompts(tiny, salt).clip(240)])
        assert core.scheduler.limits.max_windows_per_step == 2
        assert failing.num_failures == 3, "of 8 windows, and of both halves"
    assert core.scheduler.budget.max_tokens == before


def test_later_steps_have_fewer_sequences_if_their_decoding_did_not_fit(tiny):
    core = core_of(tiny)
    prompts = list(TrialPrompts(tiny, b"").rows(40))
    expected = tokens(answers(core_of(tiny), prompts))
    core.runner.forward = failing = Failing(
        core.runner.forward, lambda _, batch: len(batch.host.runs) > 20, OUT_OF_MEMORY
    )
    core.scheduler.budget.min_tokens = core.scheduler.budget.max_tokens = 20
    assert tokens(answers(core, prompts)) == expected
    assert core.scheduler.limits.max_num_seqs <= 20
    failing.num_failures = 0
    answers(core, list(TrialPrompts(tiny, b"again").rows(40)))
    assert failing.num_failures == 0


@pytest.mark.parametrize("max_tokens", [100, 16, 15])
def test_a_copy_within_the_pool_is_divided_until_its_buffer_fits(tiny, max_tokens):
    core = core_of(tiny)
    pool = core.runner.pool
    for half in (pool.keys, pool.values):
        for layer in half:
            layer.copy_(torch.arange(len(layer))[:, None, None].expand_as(layer))
    real = pool.copy
    pool.copy = failing = Failing(
        real, lambda copies: copies[0].num_tokens > max_tokens, OUT_OF_MEMORY
    )
    copies = [KvCopy(500, 400, 300), KvCopy(450, 1000, 250)]
    if max_tokens < MIN_ROWS:
        with pytest.raises(EngineBroken):
            core._pipeline.faults.copy(StepPlan(copies=copies))
        return
    assert core._pipeline.faults.copy(StepPlan(copies=copies)).is_empty
    assert failing.num_failures > 0
    expected = np.arange(len(pool.keys[0]))
    for each in copies:
        expected[each.target : each.target + each.num_tokens] = expected[
            each.source : each.source + each.num_tokens
        ].copy()
    for layer in (pool.keys[0], pool.values[-1]):
        assert layer[:-1, 0, 0].tolist() == expected[:-1].tolist()


def test_a_small_step_that_runs_out_of_memory_once_is_run_again(tiny):
    core, steps = core_of(tiny), iter(range(10**6))
    core.runner.forward = failing = Failing(
        core.runner.forward, lambda *_: next(steps) in {2, 4}, OUT_OF_MEMORY
    )
    prompts = list(TrialPrompts(tiny, b"").rows(5))
    assert tokens(answers(core, prompts)) == tokens(answers(core_of(tiny), prompts))
    assert failing.num_failures == 2


def test_a_small_copy_that_runs_out_of_memory_once_is_executed_again(tiny):
    core, calls = core_of(tiny), iter(range(10**6))
    core.runner.pool.copy = failing = Failing(
        core.runner.pool.copy, lambda _: next(calls) == 0, OUT_OF_MEMORY
    )
    assert core._pipeline.faults.copy(StepPlan(copies=[KvCopy(5, 400, 1)])).is_empty
    assert failing.num_failures == 1


def test_the_encoder_caches_are_emptied_before_the_engine_is_broken(tiny):
    core = core_of(tiny)
    answers(core, [TrialPrompts(tiny, b"").clip(40)])
    sizes = core.runner.encoder.cache_sizes_bytes
    assert min(sizes().values()) > 0
    core.runner.forward = Failing(
        core.runner.forward, lambda *_: sum(sizes().values()) > 0, OUT_OF_MEMORY
    )
    prompts = list(TrialPrompts(tiny, b"").rows(5))
    assert tokens(answers(core, prompts)) == tokens(answers(core_of(tiny), prompts))
    assert sum(sizes().values()) == 0


def test_caches_in_host_memory_are_kept_if_memory_runs_out(tiny):
    core = EngineCore(tiny, engine_options(are_caches_on_host=True))
    answers(core, [TrialPrompts(tiny, b"").clip(40)])
    core.runner.forward = Failing(core.runner.forward, lambda *_: True, OUT_OF_MEMORY)
    with pytest.raises(EngineBroken):
        answers(core, list(TrialPrompts(tiny, b"").rows(5)))
    assert min(core.runner.encoder.cache_sizes_bytes().values()) > 0


def test_a_step_ahead_that_runs_out_of_memory_is_not_tried_again(tiny):
    core, num_ahead = EngineCore(tiny, engine_options(async_scheduling=True)), 0
    launch = core.runner.launch

    def fails(plan, inputs, before=None):
        nonlocal num_ahead
        num_ahead += before is not None
        if before is not None:
            raise RuntimeError(OUT_OF_MEMORY)
        return launch(plan, inputs, before)

    core._pipeline.faults.runner = Wrapped(core.runner, launch=fails)
    prompts = list(TrialPrompts(tiny, b"").rows(4))
    assert tokens(answers(core, prompts)) == tokens(answers(core_of(tiny), prompts))
    assert num_ahead == 1


def test_memory_that_is_too_small_for_any_step_breaks_the_engine(tiny):
    core = core_of(tiny)
    core.runner.forward = Failing(core.runner.forward, lambda *_: True, OUT_OF_MEMORY)
    with pytest.raises(EngineBroken) as broken:
        answers(core, requests(tiny))
    assert OUT_OF_MEMORY in str(broken.value.__cause__)


def test_the_tensors_of_a_failed_step_are_free_before_it_is_run_again(tiny):
    core, alive = core_of(tiny), []
    forward = core.runner.forward

    def fails_at_first(embeds, *others):
        if not alive:
            large = embeds + 1
            alive.append(weakref.ref(large))
            raise RuntimeError(OUT_OF_MEMORY)
        alive.append(alive[0]())
        return forward(embeds, *others)

    core.runner.forward = fails_at_first
    answers(core, [TrialPrompts(tiny, b"").text(100)])
    assert len(alive) > 1
    assert alive[1:] == [None] * len(alive[1:])


def test_a_lost_device_breaks_the_engine_at_once_and_no_sequence_is_blamed(tiny):
    core, outputs = core_of(tiny), []
    core.runner.forward = failing = Failing(core.runner.forward, lambda *_: True, LOST)
    for prompt, params in TrialPrompts(tiny, b"").rows(5):
        core.submit(prompt, params, 0, outputs.append)
    with pytest.raises(EngineBroken):
        core.step()
    assert failing.num_failures == 1
    assert outputs == []


def test_a_device_that_is_lost_while_a_step_is_isolated_breaks_the_engine(tiny):
    core, outputs, messages = core_of(tiny), [], ["one request's own fault", LOST, LOST]

    def fails(*_):
        raise RuntimeError(messages.pop(0))

    core.runner.forward = fails
    for prompt, params in TrialPrompts(tiny, b"").rows(5):
        core.submit(prompt, params, 0, outputs.append)
    with pytest.raises(EngineBroken):
        core.step()
    assert (messages, outputs) == ([LOST], [])
