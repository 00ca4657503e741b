"""The cost of a token of free text where the model may begin a call, beside one without tools.

    PYTHONPATH=tests python -m bench.optional_calls

The tiny model on a CPU with 16 sequences, in turns, and the constraint alone.
"""

import json
import os
import statistics
import time

import torch
from engine.options import engine_options

from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.call_constraint import CallRules, OptionalCalls
from flamingo_pod.engine.structured_output.grammar import GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import FunctionSpec, GrammarSpec
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.text import call_format
from flamingo_pod.text.reasoning_format import Vocabulary

NUM_SEQUENCES, NUM_TOKENS, NUM_TURNS = 16, 40, 15
NUM_ALONE = 50_000


def run_s(core: EngineCore, rules: CallRules | None) -> float:
    """Return the seconds that all sequences take, one beside the other."""
    params = SamplingParams(NUM_TOKENS, temperature=1.0, ignore_eos=True)
    for seed in range(NUM_SEQUENCES):
        core.submit(Prompt([11, 12, 13, 80 + seed], calls=rules), params, seed, lambda _: None)
    started_s = time.process_time()
    while core.has_work():
        core.step()
    return time.process_time() - started_s


def alone_s(rules: CallRules) -> float:
    """Return the seconds that the constraint takes for a token of free text."""
    state = OptionalCalls(rules, None)
    started_s = time.process_time()
    for number in range(NUM_ALONE):
        state.mask()
        state.accept(80 + number % 100)
    return (time.process_time() - started_s) / NUM_ALONE


def main() -> None:
    """Print the time of a token, with tools and without."""
    torch.set_num_threads(1)  # several wait for each other where other programs run
    cache = build.cache_folder(os.environ)
    source = checkpoint.CheckpointSource("flamingo-tiny", None, "float32", "cpu", cache)
    tiny = checkpoint.load(source)
    size, eos_ids = tiny.model.config.text_config.vocab_size, tiny.limits.eos_token_ids
    tables = call_format.call_tokens(tiny.processor, Vocabulary(size, eos_ids))
    compiler = GrammarCompiler(tiny.processor.tokenizer, size, eos_ids)
    functions = (FunctionSpec("get_time", json.dumps({"type": "object"})),)
    rules = CallRules(tables, compiler.compile(GrammarSpec("tool_call", functions=functions)))
    print(f"constraint alone: {alone_s(rules) * 1e6:.2f} µs", flush=True)
    for is_ahead in (False, True):
        core = EngineCore(tiny, engine_options(async_scheduling=is_ahead))
        run_s(core, None), run_s(core, rules)  # warm-up
        turns = [(run_s(core, None), run_s(core, rules)) for _ in range(NUM_TURNS)]
        num_tokens = NUM_SEQUENCES * NUM_TOKENS
        plain, auto = (
            statistics.median(times) / num_tokens * 1e6 for times in zip(*turns, strict=True)
        )
        ratio = statistics.median(after / before for before, after in turns)
        print(
            f"launched ahead: {is_ahead}; {plain:.1f} µs, {auto:.1f} µs of CPU; x {ratio:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
