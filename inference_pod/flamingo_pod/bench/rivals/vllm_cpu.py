"""vLLM, where someone has installed it: with an AudioFlamingo3 of the same size.

vLLM has no Music Flamingo, so its tokens are compared with nobody's. It gets
all requests at once, in its own process: it can only look better for it.
"""

import importlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import (
    AudioFlamingo3Config,
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
)

from flamingo_common.audio import windows
from flamingo_pod.bench import task
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.outcome import BenchOutput, BenchResult
from flamingo_pod.bench.rivals import transformers_generate
from flamingo_pod.bench.task import BenchTask
from flamingo_pod.bench.workload import WorkloadRequest

SPARE_TOKENS = 512
"""For the words of a prompt."""


def run(job: BenchTask) -> BenchResult:
    """Measure vLLM on the workload."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # else its CPU-seconds are another process's
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB, as ours; else all that is free
    vllm = importlib.import_module("vllm")
    with tempfile.TemporaryDirectory(prefix="flamingo-bench-vllm-") as folder:
        write(job, folder)
        engine = vllm.LLM(
            model=folder,
            dtype="float32",
            enforce_eager=True,
            max_model_len=_max_tokens(job),
            limit_mm_per_prompt={"audio": 1},
        )
        ask(vllm, engine, job, [job.work.warm_up])
        meter = ResourceMeter()
        answers = _answers(vllm, engine, job)
        used = meter.stop()
    note = f"vllm {vllm.__version__}, AudioFlamingo3 of the same size, all requests at once"
    return BenchResult(used=used, answers=task.checked(answers, job.work), note=note)


def write(job: BenchTask, folder: str) -> None:
    """Write an AudioFlamingo3 with the job's dimensions and weights, without the time rotation."""
    ours, processor = job.checkpoint.model, job.checkpoint.processor
    config = AudioFlamingo3Config(
        audio_config=ours.config.audio_config.to_dict(),
        text_config=ours.config.text_config.to_dict(),
        audio_token_id=ours.config.audio_token_id,
    )
    model = AudioFlamingo3ForConditionalGeneration(config).eval()
    model.load_state_dict(ours.state_dict(), strict=False)
    model.save_pretrained(folder)
    # Some releases of transformers write other names than published checkpoints have.
    weights = {_published(name): weight for name, weight in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    AudioFlamingo3Processor(
        processor.feature_extractor, processor.tokenizer, chat_template=processor.chat_template
    ).save_pretrained(folder)


def _published(name: str) -> str:
    """Return a parameter's name as published checkpoints write it."""
    for ours, theirs in (
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.", ""),
    ):
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def ask(
    vllm: Any, engine: Any, job: BenchTask, requests: Sequence[WorkloadRequest]
) -> list[tuple[int, ...]]:
    """Return the tokens of each."""
    prompts = [
        {
            "prompt": transformers_generate.text_of(job, request),
            "multi_modal_data": {"audio": [(job.clips[request.clip], windows.SAMPLE_RATE_HZ)]},
        }
        for request in requests
    ]
    params = [
        vllm.SamplingParams(temperature=0, max_tokens=request.num_tokens, ignore_eos=True)
        for request in requests
    ]
    outputs = engine.generate(prompts, params, use_tqdm=False)
    return [tuple(output.outputs[0].token_ids) for output in outputs]


def _answers(vllm: Any, engine: Any, job: BenchTask) -> list[BenchOutput]:
    """Ask all first questions, then all second ones, as those need the answers before them."""
    answers: dict[int, BenchOutput] = {}
    waiting = list(job.work.requests)
    while waiting:
        batch = [one for one in waiting if one.after is None or one.after in answers]
        both = zip(batch, ask(vllm, engine, job, batch), strict=True)
        answers |= {one.number: BenchOutput(one.number, ids, None) for one, ids in both}
        waiting = [one for one in waiting if one.number not in answers]
    return list(answers.values())


def _max_tokens(job: BenchTask) -> int:
    longest = max(windows.num_tokens(len(samples)) for samples in job.clips)
    return longest + max(request.num_tokens for request in job.work.requests) + SPARE_TOKENS
