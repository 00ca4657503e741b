"""Filters and the draw among candidates: the tokens and flags of torch."""

import math

import pytest
import torch

from flamingo_pod.engine.kernels.picked_tokens import picked_tokens
from flamingo_pod.engine.sampling.filters import RankedRows, picked

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
OFF = {"floor": -math.inf, "top_k": 0, "top_p": 2.0}
KINDS = [
    {"top_p": 0.9},
    {"top_p": 1e-9},
    {"top_p": 0.9999999},
    {"top_k": 5},
    {"top_k": 1023},
    {"top_k": 40, "top_p": 0.6, "floor": -1.0},
    {"top_p": 0.95, "floor": 0.0},
    {"floor": -0.3, "top_k": 3},
]


def ranked_rows(vocabulary, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = [OFF | kind for kind in KINDS]
    scores = torch.randn(len(rows), vocabulary, generator=generator) * scale
    scores -= scores.amax(dim=1, keepdim=True)
    keys = torch.randint(-(2**63), 2**63 - 1, (len(rows),), generator=generator)
    names = {"floor": torch.float32, "top_k": torch.int64, "top_p": torch.float64}
    columns = [
        torch.tensor([row[name] for row in rows], dtype=dtype) for name, dtype in names.items()
    ]
    columns = [column.unsqueeze(1).to(DEVICE) for column in (keys, *columns)]
    return RankedRows(scores.to(DEVICE), *columns)


def check(rows, num):
    candidates = rows.candidates(num)
    for found, expected in zip(
        picked_tokens(candidates, rows), picked(candidates, rows), strict=True
    ):
        assert found.dtype == expected.dtype
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("num", [1, 7, 1024])
@pytest.mark.parametrize("vocabulary", [3, 1024, 5000])
@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_tokens_and_flags_are_those_of_torch(vocabulary, scale, num):
    check(ranked_rows(vocabulary, scale, num), num)


def test_masked_scores_are_never_drawn():
    rows = ranked_rows(2000, 3.0, 1)
    rows.scores[:, 4:] = -math.inf
    rows.scores[:, 0] = 0.0
    check(rows, 1024)


def test_equal_scores():
    rows = ranked_rows(3000, 1.0, 2)
    rows.scores.copy_(rows.scores.round())
    check(rows, 1024)


@pytest.mark.filterwarnings("ignore:invalid value")  # numpy's, in the interpreter
def test_a_row_of_nan_gets_some_token_of_the_vocabulary():
    rows = ranked_rows(2000, 1.0, 3)
    rows.scores[2] = math.nan
    tokens, _ = picked_tokens(rows.candidates(1024), rows)
    assert tokens.min() >= 0
    assert tokens.max() < 2000


def test_no_rows():
    rows = ranked_rows(50, 1.0, 3).select(slice(0))
    tokens, is_whole = picked_tokens(rows.candidates(1024), rows)
    assert len(tokens) == len(is_whole) == 0
