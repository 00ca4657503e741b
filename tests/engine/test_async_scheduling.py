"""Steps that are launched ahead: every stream is the one of the synchronous engine."""

import random
from dataclasses import fields, replace

import pytest
import torch
from engine.options import engine_options
from engine.workloads import Workload, streamed
from fakes.effort import examples

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.model_runner.runner import ModelRunner
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.steps.step_faults import SequenceFailed
from flamingo_pod.engine.structured_output.constraint import ReasoningRules
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler


@pytest.fixture(scope="module")
def compiler(tiny):
    vocabulary_size = tiny.model.config.text_config.vocab_size
    return GrammarCompiler(tiny.processor.tokenizer, vocabulary_size, tiny.limits.eos_token_ids)


def core_of(tiny, *, is_asynchronous, **options):
    return EngineCore(tiny, engine_options(async_scheduling=is_asynchronous, **options))


@pytest.mark.parametrize("seed", range(examples(40)))
def test_streams_are_those_of_the_synchronous_engine(tiny, compiler, seed):
    pools = {"kv_cache_tokens": random.Random(seed).choice([256, 512, 4096])}
    found = Workload(seed, compiler).outputs(core := core_of(tiny, is_asynchronous=True, **pools))
    expected = Workload(seed, compiler).outputs(core_of(tiny, is_asynchronous=False, **pools))
    assert found == expected
    assert core.scheduler.kv_cache.num_tokens_used == 0


@pytest.mark.parametrize("is_asynchronous", [False, True], ids=["synchronous", "asynchronous"])
@pytest.mark.parametrize("seed", range(examples(15)))
def test_streams_are_the_same_whatever_the_priorities(tiny, compiler, seed, is_asynchronous):
    pools = {"kv_cache_tokens": random.Random(seed).choice([256, 512, 4096])}
    core = core_of(tiny, is_asynchronous=is_asynchronous, **pools)
    found = Workload(seed, compiler, has_low=True).outputs(core)
    expected = Workload(seed, compiler).outputs(core_of(tiny, is_asynchronous=False, **pools))
    assert found == expected
    assert core.scheduler.kv_cache.num_tokens_used == 0


def out_of_memory_now_and_then(method, seed):
    """Return the method, which runs out of memory at random calls, but not at two in a row."""
    rng, has_failed = random.Random(seed), False

    def wrapped(*args, **kwargs):
        nonlocal has_failed
        has_failed = not has_failed and rng.random() < 0.2
        if has_failed:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return method(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("is_asynchronous", [False, True], ids=["synchronous", "asynchronous"])
@pytest.mark.parametrize("name", ["launch", "read", "forward", "copy"])
@pytest.mark.parametrize("seed", range(examples(3)))
def test_memory_that_runs_out_now_and_then_changes_no_stream(
    tiny, compiler, seed, name, is_asynchronous
):
    core = core_of(tiny, is_asynchronous=is_asynchronous, kv_cache_tokens=256)
    runner = core.runner
    if name == "copy":
        runner.pool.copy = out_of_memory_now_and_then(runner.pool.copy, seed)
    elif name == "forward":
        runner.forward = out_of_memory_now_and_then(runner.forward, seed)
    else:
        method = out_of_memory_now_and_then(getattr(runner, name), seed)
        core._pipeline.faults.runner = Wrapped(runner, **{name: method})
    found = Workload(seed, compiler).outputs(core)
    assert found == Workload(seed, compiler).outputs(core_of(tiny, is_asynchronous=False))
    assert core.scheduler.kv_cache.num_tokens_used == 0
    assert core.runner._audio_embeds == {}


def count_launches_ahead(core):
    """Return a list that gets the number of rows of each step that is launched ahead."""
    rows, launch = [], core.runner.launch

    def counted(plan, inputs, before=None):
        if before is not None:
            rows.append(len(plan.chunks))
        return launch(plan, inputs, before)

    core.runner = Wrapped(core.runner, launch=counted)
    core._pipeline.faults.runner = core.runner
    return rows


class Wrapped:
    """A runner of which some methods are others."""

    def __init__(self, runner, **methods):
        self.__dict__.update(methods, _runner=runner)

    def __getattr__(self, name):
        return getattr(self._runner, name)


def submit(core, *, num_tokens=12, **params):
    outputs = []
    params = SamplingParams(max_tokens=num_tokens, ignore_eos=True, **params)
    core.submit(Prompt([11, 12, 13]), params, 3, outputs.append)
    return outputs


def drain(core):
    while core.has_work():
        core.step()


def test_all_but_the_first_decoding_step_are_launched_ahead(tiny):
    core = core_of(tiny, is_asynchronous=True)
    rows = count_launches_ahead(core)
    outputs = submit(core)
    drain(core)
    assert len(outputs) == 12
    # The prefill samples the first token; the second step is planned when that is known.
    assert rows == [1] * 10


@pytest.mark.parametrize(
    "params", [{"repetition_penalty": 1.2}, {"presence_penalty": 1.0}, {"min_tokens": 12}]
)
def test_what_depends_on_unread_tokens_is_not_launched_ahead(tiny, params):
    core = core_of(tiny, is_asynchronous=True)
    rows = count_launches_ahead(core)
    submit(core, **params)
    drain(core)
    assert rows == []


def test_steps_are_launched_ahead_unless_a_budget_of_reasoning_may_end_with_them(tiny, tables):
    assert len(tables.endings[0]) == 9
    core = core_of(tiny, is_asynchronous=True)
    rows = count_launches_ahead(core)
    params = SamplingParams(max_tokens=20, ignore_eos=True)
    prompt = Prompt([11, 12, 13], reasoning=ReasoningRules(tables, 6))
    core.submit(prompt, params, 3, lambda output: None)
    drain(core)
    # Tokens 3 to 6, and from the one behind the first of the answer.
    assert len(rows) == 4 + 4


def test_a_prompt_that_arrives_is_not_delayed_by_more_than_a_step(tiny):
    core = core_of(tiny, is_asynchronous=True)
    submit(core, num_tokens=200)
    for _ in range(5):
        core.step()
    late = submit(core, num_tokens=1)
    core.step()
    core.step()
    assert len(late) == 1


def test_a_row_whose_token_is_corrected_is_computed_again(tiny):
    core, num_ahead = core_of(tiny, is_asynchronous=True), 0
    launch, read = core.runner.launch, core.runner.read

    def wrong_on_the_device(plan, inputs, before=None):
        nonlocal num_ahead
        num_ahead += before is not None
        step = launch(plan, inputs, before)
        if step.tokens is None:
            return step
        with torch.inference_mode():
            wrong = 1 - step.tokens.token_ids  # the host reads a copy of the right ones
        return replace(step, tokens=replace(step.tokens, token_ids=wrong))

    def read_as_corrected(step):
        return {one: replace(each, is_corrected=True) for one, each in read(step).items()}

    core.runner = Wrapped(core.runner, launch=wrong_on_the_device, read=read_as_corrected)
    core._pipeline.faults.runner = core.runner
    found = submit(core)
    drain(core)
    expected = submit(whole := core_of(tiny, is_asynchronous=False))
    drain(whole)
    assert streamed(found) == streamed(expected)
    assert num_ahead == 10


def test_a_sequence_whose_token_was_corrected_does_not_wait_for_the_others_to_end(tiny):
    core, steps = core_of(tiny, is_asynchronous=True), iter(range(10**6))
    read = core.runner.read

    def corrected_once(step):
        results = read(step)
        if next(steps) != 4:
            return results
        first, *others = results
        corrected = {first: replace(results[first], is_corrected=True)}
        return corrected | {one: results[one] for one in others}

    core.runner = Wrapped(core.runner, read=corrected_once)
    core._pipeline.faults.runner = core.runner
    one, other = submit(core, num_tokens=40), submit(core, num_tokens=40)
    while len(other) < 40:
        core.step()
        assert len(other) - len(one) <= 1


def failing(method, at):
    """Return the method, which fails at its calls with these numbers."""
    calls = iter(range(10**6))

    def wrapped(*args, **kwargs):
        if next(calls) in at:
            raise RuntimeError("this step fails")
        return method(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("name", ["launch", "read"])
@pytest.mark.parametrize("at", [{3}, {4, 9}, {5, 6}])
def test_a_step_that_fails_once_changes_no_stream(tiny, name, at):
    core = core_of(tiny, is_asynchronous=True)
    core.runner = Wrapped(core.runner, **{name: failing(getattr(core.runner, name), at)})
    core._pipeline.faults.runner = core.runner
    found = [submit(core), submit(core, temperature=1.0)]
    drain(core)
    whole = core_of(tiny, is_asynchronous=False)
    expected = [submit(whole), submit(whole, temperature=1.0)]
    drain(whole)
    failed = [one for one in found if isinstance(one[-1], SequenceFailed)]
    assert len(failed) <= 1, "only a part that fails again by itself"
    for one, other in zip(found, expected, strict=True):
        if one not in failed:
            assert streamed(one) == streamed(other)


def test_invalid_logits_fail_their_own_sequence_and_its_step_ahead_is_void(tiny):
    core = core_of(tiny, is_asynchronous=True)
    logits, steps = core.runner._logits, iter(range(10**6))

    def poisoned(*step):
        found = logits(*step)
        if next(steps) == 5:
            found[1] = torch.nan
        return found

    core.runner = PoisonedRunner(*[getattr(core.runner, one.name) for one in fields(core.runner)])
    core.runner.poison = poisoned
    core._pipeline.faults.runner = core.runner
    good, bad = submit(core), submit(core, temperature=1.0)
    drain(core)
    expected = submit(whole := core_of(tiny, is_asynchronous=False))
    drain(whole)
    assert streamed(good) == streamed(expected)
    assert isinstance(bad[-1], SequenceFailed)
    assert 1 < len(bad) < 12


class PoisonedRunner(ModelRunner):
    """A runner whose logits are those of `poison`."""

    poison = None

    def _logits(self, *step):
        return self.poison(*step)
