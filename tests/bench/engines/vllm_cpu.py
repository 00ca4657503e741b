"""vLLM, where it is installed, with an AudioFlamingo3 of the same size.

vLLM does not support Music Flamingo, so its tokens are not compared with those of the others. It
gets all requests at once and without a server in between, which can only improve its figures.
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
from flamingo_pod.bench.engines import transformers_generate
from flamingo_pod.bench.meter import ResourceMeter
from flamingo_pod.bench.results import BenchOutput, BenchResult
from flamingo_pod.bench.task import BenchTask
from flamingo_pod.bench.workload import WorkloadRequest

TEXT_TOKENS = 512
"""Allowance for the words of a prompt."""


def run(job: BenchTask) -> BenchResult:
    """Measure vLLM on the workload."""
    # In this process, or its CPU-seconds would not be measured.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB, as ours; default: all free memory
    vllm = importlib.import_module("vllm")
    with tempfile.TemporaryDirectory(prefix="flamingo-bench-vllm-") as folder:
        write_checkpoint(job, folder)
        engine = vllm.LLM(
            model=folder,
            dtype="float32",
            enforce_eager=True,
            max_model_len=_max_tokens(job),
            limit_mm_per_prompt={"audio": 1},
        )
        generate(vllm, engine, job, [job.workload.warm_up])
        meter = ResourceMeter()
        outputs = _outputs(vllm, engine, job)
        used = meter.stop()
    note = f"vllm {vllm.__version__}, AudioFlamingo3 of the same size, all requests at once"
    return BenchResult(used=used, outputs=task.check_lengths(outputs, job.workload), note=note)


def write_checkpoint(job: BenchTask, folder: str) -> None:
    """Write an AudioFlamingo3 with the job's dimensions and weights, without time rotation."""
    music_flamingo, processor = job.checkpoint.model, job.checkpoint.processor
    config = AudioFlamingo3Config(
        audio_config=music_flamingo.config.audio_config.to_dict(),
        text_config=music_flamingo.config.text_config.to_dict(),
        audio_token_id=music_flamingo.config.audio_token_id,
    )
    model = AudioFlamingo3ForConditionalGeneration(config).eval()
    model.load_state_dict(music_flamingo.state_dict(), strict=False)
    model.save_pretrained(folder)
    # Some releases of transformers write other names than published checkpoints have.
    weights = {_published_name(name): weight for name, weight in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
    AudioFlamingo3Processor(
        processor.feature_extractor, processor.tokenizer, chat_template=processor.chat_template
    ).save_pretrained(folder)


def _published_name(name: str) -> str:
    """Return a parameter's name in published checkpoints."""
    for prefix, published in (
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.", ""),
    ):
        if name.startswith(prefix):
            return published + name.removeprefix(prefix)
    return name


def generate(
    vllm: Any, engine: Any, job: BenchTask, requests: Sequence[WorkloadRequest]
) -> list[tuple[int, ...]]:
    """Return the tokens of each request."""
    prompts = [
        {
            "prompt": transformers_generate.prompt_text(job, request),
            "multi_modal_data": {"audio": [(job.clips[request.clip], windows.SAMPLE_RATE_HZ)]},
        }
        for request in requests
    ]
    params = [
        vllm.SamplingParams(temperature=0, max_tokens=request.num_tokens, ignore_eos=True)
        for request in requests
    ]
    generated = engine.generate(prompts, params, use_tqdm=False)
    return [tuple(each.outputs[0].token_ids) for each in generated]


def _outputs(vllm: Any, engine: Any, job: BenchTask) -> list[BenchOutput]:
    """Generate for all first questions, then for all second ones, which need the first answers."""
    outputs: dict[int, BenchOutput] = {}
    waiting = list(job.workload.requests)
    while waiting:
        batch = [one for one in waiting if one.after is None or one.after in outputs]
        both = zip(batch, generate(vllm, engine, job, batch), strict=True)
        outputs |= {one.number: BenchOutput(one.number, ids, None) for one, ids in both}
        waiting = [one for one in waiting if one.number not in outputs]
    return list(outputs.values())


def _max_tokens(job: BenchTask) -> int:
    longest = max(windows.num_tokens(len(samples)) for samples in job.clips)
    return longest + max(one.num_tokens for one in job.workload.requests) + TEXT_TOKENS
