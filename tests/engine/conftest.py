import dataclasses
import os

import pytest
import torch

from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.text import reasoning_format
from flamingo_pod.text.reasoning_format import Vocabulary

# Two threads on two busy cores wait for each other, ten times longer than one works.
torch.set_num_threads(1)


def source(**changes):
    fields = {
        "id": "flamingo-tiny",
        "revision": None,
        "dtype": "float32",
        "device": "cpu",
        "cache": build.cache_folder(os.environ),
    }
    return checkpoint.CheckpointSource(**(fields | changes))


@pytest.fixture(scope="session")
def source_of():
    return source


@pytest.fixture(scope="session")
def tiny(model_cache):
    return checkpoint.load(source())


@pytest.fixture(scope="session")
def tables(tiny):
    """The tables of reasoning of the tiny model, as if its chat template opened it."""
    size = tiny.model.config.text_config.vocab_size
    vocabulary = Vocabulary(size, tiny.limits.eos_token_ids)
    found = reasoning_format.reasoning_tokens(tiny.processor, vocabulary)
    return dataclasses.replace(found, is_open=True)


@pytest.fixture(scope="session")
def processor(tiny):
    return tiny.processor
