"""One row sampled as the documentation says, with loops over tokens: what `launch` must equal.

Scores are float32 tensors of one element where their rounding matters; probabilities are
integers, as there. The noise is SplitMix64 in Python's integers.
"""

import math
from collections import Counter

import torch

GOLDEN = 0x9E3779B97F4A7C15
MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
BITS = 2**64 - 1


def reference_token(logits, one):
    """Return a row's next token id, or None; `logits` is `(vocabulary,)`, `one` a `rows.Row`."""
    scores = logits.float().clone()
    if not scores.max().isfinite():
        return None
    edit(scores, one)
    constrain(scores, one)
    best = scores.max()
    if not best.isfinite():
        return None
    if one.params.temperature < 1e-5 or one.params.top_k == 1:
        return int(scores.argmax())
    relative = (scores - best) / one.params.temperature
    kept = relative >= cutoff(relative, one.params)
    noisy = gumbel(one.seed, len(one.output_ids), len(scores)) + relative
    return int(noisy.where(kept, -math.inf).argmax())


def edit(scores, one):
    """Apply bias, repetition penalty, and frequency and presence penalties."""
    params, inside = one.params, range(len(scores))
    for i in [i for i in params.logit_bias if i in inside]:
        scores[i] += params.logit_bias[i]
    factor = max(params.repetition_penalty, 1e-6)
    if params.repetition_penalty != 1:
        for i in [i for i in {*one.prompt_ids, *one.output_ids} if i in inside]:
            scores[i] = scores[i] * factor if scores[i] < 0 else scores[i] / factor
    for i, count in Counter(i for i in one.output_ids if i in inside).items():
        scores[i] -= count * params.frequency_penalty + params.presence_penalty


def constrain(scores, one):
    """Mask what the grammar does not allow, then the masked tokens if others remain."""
    if one.allowed is not None:
        for i in range(len(scores)):
            if not int(one.allowed[i // 32]) >> (i % 32) & 1:
                scores[i] = -math.inf
    masked = scores.clone()
    for i in one.masked_ids:
        if 0 <= i < len(scores):
            masked[i] = -math.inf
    if masked.max() > -math.inf:
        scores.copy_(masked)


def cutoff(scores, params):
    """Return the least score that the filters pass."""
    masses = (scores.softmax(-1).double() * 2**48).long().tolist()
    values = scores.tolist()
    ranked = sorted(values, reverse=True)
    kth = ranked[min(params.top_k, len(ranked)) - 1] if params.top_k else -math.inf
    floor = float(torch.tensor(math.log(params.min_p))) if params.min_p else -math.inf
    if params.top_p is None or params.top_p >= 1:
        return max(kth, floor)
    total = 2**48
    if params.top_k:
        total = sum(mass for mass, value in zip(masses, values, strict=True) if value >= kth)
    before, nucleus = 0, ranked[0]
    for value, mass in sorted(zip(values, masses, strict=True), reverse=True):
        if before >= params.top_p * total:
            break
        nucleus, before = value, before + mass
    return max(kth, floor, nucleus)


def gumbel(seed, position, num_ids):
    """Return standard Gumbel noise `(num_ids,)`."""
    key = mix(mix(seed + GOLDEN) + (position + 1) * GOLDEN)
    words = [mix(key + (i + 1) * GOLDEN) >> 11 for i in range(num_ids)]
    uniform = ((torch.tensor(words).float() + 0.5) * 2.0**-53).clamp(max=1 - 2**-24)
    return -torch.log(-torch.log1p(-uniform))


def mix(word):
    word &= BITS
    for shift, factor in MIXES:
        word = ((word ^ (word >> shift)) * factor) & BITS
    return word
