"""A decode step is launched without waiting for the device; reading it gives what a step gives."""

import time

import pytest
from engine.options import engine_options
from engine.sampling.rows import IN_PLACE_OF_KERNELS
from fakes.host_synchronisation import forbid_host_synchronisation

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn

KINDS = [
    {},
    {"temperature": 1.0},
    {"temperature": 0.8, "top_p": 0.9, "num_logprobs": 3},
    {"temperature": 1.2, "top_k": 5, "repetition_penalty": 1.2},
    {"logit_bias": {7: 2.0}, "frequency_penalty": 0.5, "min_tokens": 6},
]
NUM_TOKENS = 12


@pytest.fixture(scope="module")
def compiler(tiny):
    vocabulary_size = tiny.model.config.text_config.vocab_size
    return GrammarCompiler(tiny.processor.tokenizer, vocabulary_size, tiny.limits.eos_token_ids)


def submit_all(core, compiler):
    """Submit a prompt of each kind, and one with a grammar; return where their outputs go."""
    ids = prompt.token_ids(core.checkpoint.processor, [Turn("user", "Hello?")], 0)
    prompts = [(Prompt(ids), fields) for fields in KINDS]
    prompts.append((Prompt(ids, grammar=compiler.compile(GrammarSpec("json_object"))), {}))
    outputs = [[] for _ in prompts]
    for seed, (one, fields) in enumerate(prompts):
        params = SamplingParams(max_tokens=NUM_TOKENS, **fields)
        core.submit(one, params, seed, outputs[seed].append)
    return outputs


def launched_apart(core):
    """Make a step as the core does, with its launch and its reading apart."""
    plan = core.scheduler.schedule(time.monotonic())
    if plan.num_prefilled:
        step = core.runner.launch(plan, core._inputs)
    else:
        with forbid_host_synchronisation():
            step = core.runner.launch(plan, core._inputs)
    core._commit(plan, step.read(), time.monotonic())
    return plan


@pytest.mark.parametrize("kernels", [None, IN_PLACE_OF_KERNELS], ids=["as on a CPU", "as on a GPU"])
def test_launching_a_decode_step_does_not_wait_for_the_device(tiny, compiler, kernels):
    whole, apart = (EngineCore(tiny, engine_options()) for _ in range(2))
    apart.runner.sampling_kernels = kernels
    expected, outputs = submit_all(whole, compiler), submit_all(apart, compiler)
    while whole.has_work():
        whole.step()
    num_decode_steps = 0
    while apart.has_work():
        num_decode_steps += not launched_apart(apart).num_prefilled
    assert outputs == expected
    assert num_decode_steps >= NUM_TOKENS - 2
