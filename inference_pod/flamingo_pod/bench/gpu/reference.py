"""transformers' `generate` on the same model: its tokens, and its pace."""

from collections.abc import Iterator
from typing import Any

import torch

from flamingo_common.audio import windows
from flamingo_pod.bench.gpu.engine_runs import EngineRuns
from flamingo_pod.bench.gpu.plan import BenchPlan
from flamingo_pod.bench.gpu.results import Row
from flamingo_pod.bench.gpu.stopwatch import timed
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.encoding.audio import ClipAudio, Samples
from flamingo_pod.model.checkpoint import Checkpoint

QUESTION = "Describe this song: its genre, tempo, key and instruments."
EQUALITY_CLIPS_S = (3.0, 31.0)
NUM_COMPARED = 16
"""Tokens of each answer that are compared."""
NUM_COMPARED_IN_ALL = NUM_COMPARED * len(EQUALITY_CLIPS_S)


def equality(loaded: Checkpoint, runs: EngineRuns) -> tuple[int, float]:
    """Return how many greedy tokens of the engine are those of `generate`, and the margin.

    See `results.Equality`.
    """
    num_equal, margins = 0, [0.0]
    for clip_s in EQUALITY_CLIPS_S:
        samples = runs.clip(clip_s)
        inputs = _inputs(loaded, [samples])
        expected = _generate(loaded, inputs, NUM_COMPARED, output_logits=True)
        prompt = Prompt(inputs["input_ids"][0].tolist(), ClipAudio.from_samples(samples))
        request = runs.submit_prompt(prompt, NUM_COMPARED)
        runs.finish()
        ids = expected.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        num_common = _num_common(request.token_ids, ids)
        num_equal += num_common
        if num_common < NUM_COMPARED:
            found = request.token_ids[num_common]
            margins.append(margin(expected.logits[num_common][0], found))
    return num_equal, max(margins)


def _num_common(found: list[int], expected: list[int]) -> int:
    pairs = zip(found, expected, strict=True)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), len(expected))


def margin(logits: torch.Tensor, token_id: int) -> float:
    """Return how far a token is below the most likely one, in standard deviations of `logits`."""
    wide = logits.float()
    return float((wide.max() - wide[token_id]) / wide.std())


def generate_row(loaded: Checkpoint, runs: EngineRuns, plan: BenchPlan, num: int) -> Iterator[Row]:
    """Yield the pace of `generate` for a batch of `num` clips of 30 s."""
    clips = [runs.clip(windows.WINDOW_S) for _ in range(num)]
    inputs = _inputs(loaded, clips)
    with timed(runs.device) as watch:
        out = _generate(loaded, inputs, plan.num_output, max_time=plan.limits.generate_s)
    num_tokens = out.sequences.shape[1] - inputs["input_ids"].shape[1]
    pace = num * num_tokens / plan.num_output / watch.elapsed_s
    note = f"{num_tokens} of {plan.num_output} tokens each, {watch.elapsed_s:.3g} s"
    yield Row(generate_name(num), pace, "captions/s", note=note)


def generate_name(num: int) -> str:
    """Return the name of the measurement of a batch."""
    return f"transformers, {'one by one' if num == 1 else f'batch of {num}'}"


def _inputs(loaded: Checkpoint, clips: list[Samples]) -> Any:
    content = [{"type": "audio"}, {"type": "text", "text": QUESTION}]
    text = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = loaded.processor(text=[text] * len(clips), audio=clips)
    return inputs.to(loaded.model.device, loaded.model.dtype)


@torch.inference_mode()
def _generate(loaded: Checkpoint, inputs: Any, num_tokens: int, **options: Any) -> Any:
    """Return what `generate` does; with `max_time` in seconds it may end before `num_tokens`."""
    return loaded.model.generate(
        **inputs,
        **options,
        use_cache=True,  # published checkpoints set it to False
        do_sample=False,
        min_new_tokens=num_tokens,
        max_new_tokens=num_tokens,
        return_dict_in_generate=True,
    )
