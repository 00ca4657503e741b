"""The temperature of decisions: how sure the probabilities of options are.

Pure.
"""

import math
from collections.abc import Sequence

MIN_PROBABILITY = 1e-300
"""A smaller one has no logarithm."""


def tempered(probabilities: Sequence[float], temperature: float) -> list[float]:
    """Return probabilities whose logarithms are divided by `temperature` (Guo et al. 2017)."""
    if temperature == 1.0:
        return list(probabilities)
    logs = [math.log(max(each, MIN_PROBABILITY)) / temperature for each in probabilities]
    best = max(logs)
    weights = [math.exp(each - best) for each in logs]
    total = math.fsum(weights)
    return [each / total for each in weights]
