"""A sequence's record: its group, and filters that are off."""

import math

import numpy as np
import pytest

from flamingo_pod.engine.sampling.state import RECORD, Group, SamplingState
from flamingo_pod.engine.scheduling.sequence import SamplingParams


def state_of(**fields):
    params = SamplingParams(max_tokens=9, **fields)
    return SamplingState.create(params, 0, prompt_ids=(), vocabulary_size=3000)


def record_of(**fields):
    return np.frombuffer(state_of(**fields).record, RECORD)[0]


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({}, Group.ARGMAX),
        ({"temperature": 1.0, "top_k": 1}, Group.ARGMAX),
        ({"temperature": 1e-7, "top_p": 0.5}, Group.ARGMAX),
        ({"num_logprobs": 3}, Group.ARGMAX),
        ({"logit_bias": {1: 1.0}}, Group.GREEDY),
        ({"repetition_penalty": 1.1}, Group.GREEDY),
        ({"temperature": 1.0, "top_p": 0.9}, Group.SORTED),
        ({"temperature": 1.0, "top_k": 1023}, Group.SORTED),
        ({"temperature": 1.0, "top_k": 1024}, Group.WIDE),
        ({"temperature": 1.0}, Group.PLAIN),
        ({"temperature": 1.0, "top_p": 1.0, "min_p": 0.1}, Group.PLAIN),
        ({"temperature": 1.0, "presence_penalty": 1.0}, Group.UNSORTED),
    ],
    ids=str,
)
def test_the_parameters_choose_the_group(fields, group):
    assert record_of(**fields)["group"] == group


def test_filters_that_are_off_pass_all_tokens():
    record = record_of(temperature=1.0)
    assert record["top_k"] == 0
    assert record["top_p"] > 1
    assert record["floor"] == -math.inf
    assert record["num_logprobs"] == -1


@pytest.mark.parametrize(
    ("fields", "needs_output"),
    [
        ({"temperature": 1.0, "logit_bias": {1: 1.0}}, False),
        ({"repetition_penalty": 1.1}, True),
        ({"frequency_penalty": 0.1}, True),
        ({"presence_penalty": -0.1}, True),
    ],
    ids=str,
)
def test_penalties_need_the_output(fields, needs_output):
    assert state_of(**fields).needs_output is needs_output
