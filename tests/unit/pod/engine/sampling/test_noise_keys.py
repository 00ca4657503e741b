"""The noise keys are SplitMix64's, in arrays as in Python's integers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.sampling.noise_keys import BITS, GOLDEN, MIXES, position_keys, seed_key

seeds = st.integers(0, 2**64 - 1)
positions = st.integers(0, 40_000)


def mix(word):
    word &= BITS
    for shift, factor in MIXES:
        word = ((word ^ (word >> shift)) * factor) & BITS
    return word


@given(st.lists(st.tuples(seeds, positions), max_size=9))
def test_keys_are_those_of_pythons_integers(pairs):
    seed_keys = np.array([seed_key(seed) for seed, _ in pairs], np.uint64)
    keys = position_keys(seed_keys, np.array([position for _, position in pairs], np.int64))
    expected = [mix(mix(seed + GOLDEN) + (position + 1) * GOLDEN) for seed, position in pairs]
    assert [key & BITS for key in keys.tolist()] == expected


def test_the_first_words_are_those_of_the_published_generator():
    # SplitMix64 with seed 0, of Vigna's reference implementation in C.
    assert mix(GOLDEN) == 0xE220A8397B1DCDAF
    assert mix(2 * GOLDEN) == 0x6E789E6AA1B965F4


def test_neither_seed_nor_position_repeats_a_key():
    seed_keys = np.array([seed_key(seed) for seed in range(200)], np.uint64).repeat(200)
    keys = position_keys(seed_keys, np.tile(np.arange(200), 200))
    assert len(np.unique(keys)) == 200 * 200
