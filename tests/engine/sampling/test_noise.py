"""The noise: uniform, uncorrelated, finite, and a function of seed, position and token."""

import math

import numpy as np
import pytest
import torch
from engine.sampling.words import EXTREMES, as_signed, unmixed

from flamingo_pod.engine.sampling import noise
from flamingo_pod.engine.sampling.noise_keys import position_keys, seed_key


def gumbel_noise(seeds=(0,), positions=(0,), num_ids=1000):
    return noise.gumbel(keys_of(seeds, positions), noise.steps(torch.arange(num_ids))).double()


def keys_of(seeds, positions):
    seed_keys = np.array([seed_key(seed) for seed in seeds], np.uint64)
    keys = position_keys(seed_keys.repeat(len(positions)), np.tile(positions, len(seeds)))
    return torch.from_numpy(keys).unsqueeze(1)


def uniform(gumbel):
    return (-(-gumbel).exp()).exp()


@pytest.mark.parametrize(
    "shape",
    [
        {"num_ids": 100_000},
        {"seeds": range(100_000), "num_ids": 1},
        {"positions": range(100_000), "num_ids": 1},
        {"seeds": range(300), "positions": range(30), "num_ids": 11},
    ],
    ids=["over tokens", "over seeds", "over positions", "over all"],
)
def test_the_noise_is_uniform(shape):
    values = uniform(gumbel_noise(**shape)).flatten()
    counts = torch.histc(values, 256, 0, 1)
    expected = len(values) / 256
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - 255) < 6 * math.sqrt(2 * 255)


@pytest.mark.parametrize("axis", ["seeds", "positions", "num_ids"])
def test_neighbouring_noise_is_uncorrelated(axis):
    shapes = {"seeds": range(1), "positions": range(1), "num_ids": 1}
    wide = {"seeds": range(50_000), "positions": range(50_000), "num_ids": 50_000}
    values = uniform(gumbel_noise(**(shapes | {axis: wide[axis]}))).flatten()
    for lag in (1, 2, 64):
        pair = torch.stack([values[:-lag], values[lag:]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 6 / math.sqrt(len(values))


def test_pairs_of_neighbours_fill_the_square():
    values = uniform(gumbel_noise(seeds=range(500), num_ids=200))
    pairs = (values[:-1] * 16).long().clamp(max=15) * 16 + (values[1:] * 16).long().clamp(max=15)
    counts = torch.bincount(pairs.flatten(), minlength=256).double()
    expected = float(counts.mean())
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_square - 255) < 6 * math.sqrt(2 * 255)


def test_the_noise_is_always_finite():
    values = gumbel_noise(seeds=range(2000), num_ids=1000)
    assert values.isfinite().all()
    assert values.max() > 13, "one in a million is not cut off"


def test_the_noise_is_a_function_of_the_token_id():
    keys = keys_of([3], [4])
    everywhere = noise.gumbel(keys, noise.steps(torch.arange(100)))[0]
    some = torch.tensor([[77, 3, 50]])
    assert torch.equal(noise.gumbel(keys, noise.steps(some))[0], everywhere[some[0]])


def test_the_noise_is_that_of_exact_logarithms():
    keys, steps = keys_of(range(20), [0]), noise.steps(torch.arange(50_000))
    uniforms = noise._words(keys, steps).double() * 2.0**-64
    uniforms = torch.where(uniforms < 0, 1 + uniforms, uniforms)
    exact = -torch.log(-torch.log1p(-uniforms))
    error = (noise.gumbel(keys, steps) - exact).abs() / exact.abs().clamp(min=1)
    assert error.max() < 1e-6


@pytest.mark.parametrize("word", EXTREMES)
def test_the_extremes_of_a_word_give_finite_noise(word):
    key = torch.tensor([[as_signed(unmixed(word))]])
    found = float(noise.gumbel(key, torch.zeros(1, dtype=torch.int64)))
    assert math.isfinite(found)
    if 0 < word < 2**62:
        assert found == pytest.approx(-math.log(word / 2**64), rel=1e-6)


@pytest.mark.parametrize("num_ids", [1, 7, 100, 4097])
def test_a_value_does_not_depend_on_how_many_are_computed_at_once(num_ids):
    keys, steps = keys_of([5], [1]), noise.steps(torch.arange(5000))
    assert torch.equal(noise.gumbel(keys, steps[:num_ids]), noise.gumbel(keys, steps)[:, :num_ids])
