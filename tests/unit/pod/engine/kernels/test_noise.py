"""The noise of the kernels is that of torch, bit for bit."""

import pytest
import torch
import triton
import triton.language as tl
from engine.sampling.words import EXTREMES, as_signed, unmixed

from flamingo_pod.engine.kernels import noise
from flamingo_pod.engine.kernels.rounding import EXACT
from flamingo_pod.engine.sampling import noise as reference

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NUM_IDS = 4096


@triton.jit
def _noise(keys: tl.tensor, values: tl.tensor, num_ids: tl.constexpr) -> None:
    row = tl.program_id(0)
    ids = tl.arange(0, num_ids)
    tl.store(values + row * num_ids + ids, noise.gumbel(tl.load(keys + row), ids))


def noise_of(keys):
    values = torch.empty(len(keys), NUM_IDS, device=DEVICE)
    _noise[(len(keys),)](keys.to(DEVICE), values, num_ids=NUM_IDS, **EXACT)
    return values.cpu()


def test_it_is_that_of_torch_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    keys = torch.randint(-(2**63), 2**63 - 1, (100,), generator=generator)
    expected = reference.gumbel(keys.unsqueeze(1), reference.steps(torch.arange(NUM_IDS)))
    assert torch.equal(noise_of(keys).view(torch.int32), expected.view(torch.int32))


@pytest.mark.parametrize("word", EXTREMES)
def test_the_extremes_of_a_word_are_those_of_torch(word):
    key = (unmixed(word) - int(reference.steps(torch.tensor(7)))) % 2**64
    keys = torch.tensor([as_signed(key)])
    expected = reference.gumbel(keys.unsqueeze(1), reference.steps(torch.tensor([7])))
    assert noise_of(keys)[0, 7] == expected[0, 0]
