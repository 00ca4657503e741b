"""The kernel of sampling returns the tokens of torch, whatever the rows are."""

import math

import pytest
import torch

from flamingo_pod.engine.kernels.plain_tokens import SPLIT_IDS, plain_tokens
from flamingo_pod.engine.sampling.batch import PlainRows
from flamingo_pod.engine.sampling.plain import plain_tokens as expected_tokens
from flamingo_pod.engine.sampling.results import NO_TOKEN

pytestmark = pytest.mark.filterwarnings("ignore:overflow")  # numpy's, in the interpreter
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEMPERATURES = (0.0, 1.0, 0.7, 2.0, 1e-5, 1e30, 1.0)
OFF = -math.inf


def rows_of(logits, temperatures, floors):
    generator = torch.Generator().manual_seed(len(temperatures))
    keys = torch.randint(-(2**63), 2**63 - 1, (len(temperatures),), generator=generator)
    floats = torch.tensor(temperatures), torch.tensor(floors)
    return PlainRows(*[each.to(logits.device) for each in (keys, *floats)])


def check(logits, temperatures, floors=None):
    rows = rows_of(logits, temperatures, floors or [OFF] * len(temperatures))
    found = plain_tokens(logits, rows)
    assert found.dtype == torch.int64
    assert found.tolist() == expected_tokens(logits, rows).tolist()
    return found.tolist()


@pytest.mark.parametrize("vocabulary", [1, 3, 300, SPLIT_IDS, SPLIT_IDS + 1])
def test_tokens_are_those_of_torch(random, vocabulary):
    logits = random.strided(len(TEMPERATURES), vocabulary) * 2
    check(logits, TEMPERATURES, [OFF] * 6 + [-0.5])


def test_the_published_vocabulary():
    logits = torch.randn(1, 151_672, generator=torch.Generator().manual_seed(0))
    check(logits.to(DEVICE, torch.bfloat16), [1.0])  # in the interpreter it takes seconds


def test_no_rows(random):
    assert check(random.normal(0, 40), []) == []


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_invalid_rows_have_no_token_and_change_no_other(random, temperature):
    logits = random.normal(1, 5000).repeat(6, 1)
    logits[1, 4999] = math.nan
    logits[2, 0] = math.inf
    logits[3] = -math.inf
    logits[4, 100:] = -math.inf
    found = check(logits, [temperature] * 6)
    assert found[1:4] == [NO_TOKEN] * 3
    assert found[4] < 100
    assert NO_TOKEN not in (found[0], found[5])


@pytest.mark.parametrize("temperature", [0.0, 1e-5])
def test_the_least_id_of_equal_scores_wins(random, temperature):
    logits = random.normal(3, 2 * SPLIT_IDS).clamp(max=1)
    logits[0, [5, 900, SPLIT_IDS + 5]] = 4
    logits[1, [SPLIT_IDS + 7, SPLIT_IDS + 2000]] = 4
    logits[2, [1029, 6]] = 4
    found = check(logits, [temperature] * 3)
    if not temperature:
        assert found == [5, SPLIT_IDS + 7, 6]


def test_the_tightest_floor_leaves_only_the_best(random):
    logits = random.normal(4, 500)
    logits[:, 77] = 30
    assert check(logits, [2.0] * 4, [0.0] * 4) == [77] * 4
