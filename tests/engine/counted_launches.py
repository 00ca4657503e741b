"""Count what a decode step of flamingo-tiny launches on a GPU, without one; print it as JSON.

Counted apart are the step from token ids to the next ones, which is recorded, and what sampling
launches behind it, by the parameters of all rows. Operations of torch are counted where they are
dispatched, and kernels by the driver that compiles them and launches nothing. So the values are
meaningless, and the launches are those of a GPU.
"""

import collections
import dataclasses
import functools
import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import torch
from fakes.triton_driver import CompilingDriver
from torch.utils._python_dispatch import TorchDispatchMode

from flamingo_pod.engine.kernels.picked_tokens import picked_tokens
from flamingo_pod.engine.kernels.plain_tokens import plain_tokens
from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.attention.decode_triton import DecodeTritonAttention
from flamingo_pod.engine.model_runner.batch import Batch
from flamingo_pod.engine.model_runner.device_batch import to_device
from flamingo_pod.engine.model_runner.forward import FusedForward
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.engine.model_runner.runner import ModelRunner
from flamingo_pod.engine.model_runner.triton_layer_ops import TritonLayerOps
from flamingo_pod.engine.sampling.batch import PlainRows, SamplingBatch, SamplingInput
from flamingo_pod.engine.sampling.launch import SamplingKernels, launch
from flamingo_pod.engine.sampling.state import SamplingState
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build

POOL_TOKENS = 4096
VOCABULARY = 4096
KERNELS = SamplingKernels(plain_tokens, picked_tokens)
KINDS = {
    "greedy": {},
    "temperature": {"temperature": 1.0},
    "min-p": {"temperature": 1.0, "min_p": 0.1},
    "top-p": {"temperature": 1.0, "top_p": 0.9},
    "top-k": {"temperature": 1.0, "top_k": 50},
    "penalties": {"temperature": 1.0, "repetition_penalty": 1.1},
}
LAUNCHES_NOTHING = {"empty", "new_empty", "empty_like", "empty_strided"}


class LaunchCounter(TorchDispatchMode):
    """Counts the operations that compute something: neither views nor allocations."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if not operation.is_view and name not in LAUNCHES_NOTHING:
            self.counts[name] += 1
        return operation(*args, **(kwargs or {}))


def decode_batch(rows):
    """Return sequences that share a prefix of 60 tokens, each with a tail of 10."""
    numbers = np.arange(rows, dtype=np.int32)
    tails = 100 + numbers * 20
    fixed = (np.full(rows, value, dtype=np.int32) for value in (0, 60))
    runs = np.stack([*fixed, tails, np.full(rows, 10, dtype=np.int32)], axis=1)
    positions = np.full(rows, 69, dtype=np.int32)
    starts = np.arange(rows + 1, dtype=np.int32)
    return Batch(numbers, positions, tails + 9, starts, runs, numbers)


def loaded_model(quantization):
    source = checkpoint.CheckpointSource(
        id="flamingo-tiny",
        revision=None,
        dtype="bfloat16",
        device="cpu",
        cache=build.cache_folder(os.environ),
        quantization=quantization,
    )
    return checkpoint.load(source).model


def counted(driver, act):
    """Return the names of what `act` launches, and how often."""
    driver.launches = []
    with LaunchCounter() as counter:
        act()
    return counter.counts + collections.Counter(launch.kernel for launch in driver.launches)


def runner_of(model):
    """Return what decodes on a GPU."""
    config = model.config.text_config
    pool = KvPool(config, POOL_TOKENS, model.lm_head.weight)
    by_runs = AttentionByRuns(pool, config.num_attention_heads)
    forward = FusedForward(model, DecodeTritonAttention(pool, by_runs), TritonLayerOps())
    parts = dict.fromkeys(field.name for field in dataclasses.fields(ModelRunner))
    model_parts = {"checkpoint": SimpleNamespace(model=model), "forward": forward}
    return ModelRunner(**parts | model_parts | {"sampling_kernels": KERNELS})


def sampling_behind(driver, rows, **params):
    """Return what sampling rows of these parameters launches behind a recorded step."""
    params = SamplingParams(max_tokens=9, **params)
    state = SamplingState.create(params, 1, prompt_ids=(), vocabulary_size=VOCABULARY)
    batch = SamplingBatch.create([SamplingInput(state, [5])] * rows, VOCABULARY)
    logits, token_ids = torch.zeros(rows, VOCABULARY), torch.zeros(rows, dtype=torch.int64)
    return counted(driver, lambda: launch(logits, batch, token_ids, KERNELS))


@torch.inference_mode()
def main():
    driver = CompilingDriver(90)
    driver.activate()
    model = loaded_model(sys.argv[1] if len(sys.argv) > 1 else None)
    runner = runner_of(model)
    recorded, behind = {}, {}
    for rows in (1, 64):
        batch = to_device(decode_batch(rows), torch.device("cpu"))
        plain = PlainRows(*map(torch.from_numpy, PlainRows.greedy(rows)))
        recorded[rows] = counted(driver, functools.partial(runner.decode, batch, plain))
        behind[rows] = {
            kind: sampling_behind(driver, rows, **params) for kind, params in KINDS.items()
        }
    num_layers = model.config.text_config.num_hidden_layers
    result = {"num_layers": num_layers, "recorded": recorded, "behind": behind}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
