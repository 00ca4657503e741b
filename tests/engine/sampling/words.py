"""The words of the noise, backwards: to see what becomes of a certain word."""

from flamingo_pod.engine.sampling.noise_keys import MIXES

EXTREMES = [0, 1, 3, 2**30, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]


def unmixed(word):
    """Return what SplitMix64's finalizer makes `word` of."""
    for shift, factor in reversed(MIXES):
        word = word * pow(factor, -1, 2**64) % 2**64
        mixed = word
        for _ in range(3):
            word = mixed ^ (word >> shift)
    return word


def as_signed(word):
    return word - 2**64 if word >> 63 else word
