"""Top-k, top-p and min-p among the best scores of each row, and the token that is drawn.

One program per row holds its candidates in registers. Masses are integers, as in
`sampling/filters.py`, so their sums do not depend on the order.
"""

import torch
import triton
import triton.language as tl

from flamingo_pod.engine.kernels.noise import gumbel
from flamingo_pod.engine.kernels.rounding import EXACT
from flamingo_pod.engine.sampling.filters import MASS_SCALE, Candidates, RankedRows

NUM_WARPS = 4
"""Eight candidates per thread, of 1,024."""


@triton.jit
def _at(values: tl.tensor, place: tl.tensor, place_of: tl.tensor) -> tl.tensor:
    """Return the value at a place."""
    return tl.max(tl.where(place == place_of, values, float("-inf")), axis=0)


@triton.jit(do_not_specialize_on_alignment=["keys", "floors", "top_ks", "top_ps"])
def _pick_tokens(
    scores: tl.tensor,
    ids: tl.tensor,
    probabilities: tl.tensor,
    keys: tl.tensor,
    floors: tl.tensor,
    top_ks: tl.tensor,
    top_ps: tl.tensor,
    tokens: tl.tensor,
    is_whole: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    MASS_SCALE: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    is_candidate = place < WIDTH
    at = row * WIDTH + place
    score = tl.load(scores + at, is_candidate, other=float("-inf"))
    probability = tl.load(probabilities + at, is_candidate, other=0.0)
    key, top_k = tl.load(keys + row), tl.load(top_ks + row)
    floor, top_p = tl.load(floors + row), tl.load(top_ps + row)

    last_of_top_k = tl.minimum(tl.maximum(top_k, 1), WIDTH) - 1
    kth = tl.where(top_k > 0, _at(score, place, last_of_top_k), float("-inf"))
    mass = (probability.to(tl.float64) * MASS_SCALE).to(tl.int64)
    mass = tl.where((score >= kth) & is_candidate, mass, 0)
    before = tl.cumsum(mass, axis=0) - mass
    total = tl.where(top_k > 0, tl.sum(mass, axis=0), MASS_SCALE).to(tl.float64)
    is_kept = (before.to(tl.float64) < top_p * total) & is_candidate
    num_kept = tl.maximum(tl.sum(is_kept.to(tl.int32), axis=0), 1)
    nucleus = tl.where(top_p < 1.0, _at(score, place, num_kept - 1), float("-inf"))
    cut = tl.maximum(tl.maximum(kth, nucleus), floor)
    last = _at(score, place, WIDTH - 1)
    has_all = (last < tl.where(top_k > 0, kth, cut)) | (last == float("-inf"))
    tl.store(is_whole + row, has_all)

    candidate = tl.load(ids + at, is_candidate, other=0)
    noisy = tl.where((score >= cut) & is_candidate, gumbel(key, candidate) + score, float("-inf"))
    winner = tl.min(tl.where(noisy == tl.max(noisy, axis=0), place, WIDTH - 1), axis=0)
    tl.store(tokens + row, tl.sum(tl.where(place == winner, candidate, 0), axis=0))


def picked_tokens(candidates: Candidates, rows: RankedRows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a token id per row, and whether its candidates were enough, as `filters.picked` does.

    What it returns for a row with NaN has no meaning. One launch.
    """
    num_rows, width = candidates.scores.shape
    assert all(each.is_contiguous() for each in candidates)
    tokens = torch.empty(num_rows, dtype=torch.int64, device=candidates.ids.device)
    is_whole = torch.empty(num_rows, dtype=torch.bool, device=candidates.ids.device)
    columns = (rows.keys, rows.floor, rows.top_k, rows.top_p)
    assert all(each.is_contiguous() for each in columns)
    if not num_rows:
        return tokens, is_whole
    _pick_tokens[(num_rows,)](
        *candidates,
        *columns,
        tokens,
        is_whole,
        WIDTH=width,
        BLOCK=triton.next_power_of_2(width),
        MASS_SCALE=MASS_SCALE,
        num_warps=NUM_WARPS,
        **EXACT,
    )
    return tokens, is_whole
