"""Rows to sample, and sampling in one call; nothing in a launch may wait for the device."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from fakes.host_synchronisation import forbid_host_synchronisation
from hypothesis import strategies as st

from flamingo_pod.engine.device.transfer import to_device
from flamingo_pod.engine.sampling.batch import (
    PlainRows,
    SamplingArrays,
    SamplingBatch,
    SamplingInput,
)
from flamingo_pod.engine.sampling.filters import picked
from flamingo_pod.engine.sampling.launch import SamplingKernels, launch
from flamingo_pod.engine.sampling.plain import plain_tokens
from flamingo_pod.engine.sampling.state import SamplingState
from flamingo_pod.engine.scheduling.sequence import SamplingParams

IN_PLACE_OF_KERNELS = SamplingKernels(plain_tokens, picked)
VOCABULARY = 40
NUM_DRAWS = 20_000

filters = st.fixed_dictionaries(
    {"temperature": st.floats(0.2, 2)},
    optional={
        "top_k": st.integers(1, 60) | st.sampled_from([1023, 1024, 1400]),
        "top_p": st.floats(0.05, 0.999),
        "min_p": st.floats(0.001, 0.9),
    },
)


@dataclass(frozen=True)
class Row:
    """One sequence and the step that samples its next token."""

    params: SamplingParams
    seed: int
    prompt_ids: list[int]
    output_ids: list[int]
    allowed: np.ndarray | None
    masked_ids: object


def row(seed=0, prompt_ids=(), output_ids=(), allowed=None, masked_ids=(), **fields):
    params = SamplingParams(max_tokens=64, **fields)
    return Row(params, seed, list(prompt_ids), list(output_ids), allowed, masked_ids)


def state_of(one, vocabulary):
    return SamplingState.create(
        one.params, one.seed, prompt_ids=one.prompt_ids, vocabulary_size=vocabulary
    )


def batch_of(rows, vocabulary):
    inputs = [
        SamplingInput(state_of(one, vocabulary), one.output_ids, 0, one.allowed, one.masked_ids)
        for one in rows
    ]
    return SamplingBatch.create(inputs, vocabulary)


def tensors_of(batch):
    return SamplingArrays(*to_device(batch.arrays, torch.device("cpu")))


def launched(logits, rows, *, as_on_a_gpu=False):
    batch = batch_of(rows, logits.shape[1])
    with torch.inference_mode(), forbid_host_synchronisation():
        if not as_on_a_gpu:
            return launch(logits, batch)
        plain = batch.plain_among(np.arange(len(rows)), len(rows))
        token_ids = plain_tokens(logits, PlainRows(*to_device(plain, logits.device)))
        return launch(logits, batch, token_ids, IN_PLACE_OF_KERNELS)


def sample(logits, rows, **options):
    return launched(logits, rows, **options).read()


def ids(tokens):
    return [token.token_id for token in tokens]


def logits_of(num_rows, vocabulary=VOCABULARY, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_rows, vocabulary, generator=generator) * scale


def mask_of(allowed, vocabulary=VOCABULARY):
    bits = np.zeros(-(-vocabulary // 32) * 32, np.uint8)
    bits[list(allowed)] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


def counts_of(logits, num_draws=NUM_DRAWS, **fields):
    """Return how often each token comes, over as many seeds."""
    rows = [row(seed=seed, **fields) for seed in range(num_draws)]
    return Counter(ids(sample(logits.expand(num_draws, -1), rows)))


def large_batch(num_rows, vocabulary):
    """Return rows of every kind there is."""
    kinds = [
        {},
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.9},
        {"temperature": 1.2, "top_k": 5, "num_logprobs": 3},
        {"temperature": 1.0, "min_p": 0.1, "repetition_penalty": 1.3},
        {"temperature": 1.0, "frequency_penalty": 0.5, "presence_penalty": 0.2},
        {"logit_bias": {3: 4.0}, "num_logprobs": 20},
        {
            "temperature": 1.0,
            "top_p": 0.95,
            "allowed": mask_of(range(0, vocabulary, 3), vocabulary),
        },
        {"allowed": mask_of(range(5, 30), vocabulary), "repetition_penalty": 0.8},
        {"temperature": 2.0, "top_p": 0.9999},
        {"temperature": 1.5, "top_k": 1100, "masked_ids": range(20)},
        {"masked_ids": range(0, vocabulary, 2), "num_logprobs": 0},
    ]
    said = list(range(0, vocabulary, 7))
    return [
        row(seed=n, prompt_ids=said[:9], output_ids=said[: n % 11] * 2, **kinds[n % len(kinds)])
        for n in range(num_rows)
    ]
