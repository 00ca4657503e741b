"""The key whose profile fits a clip's notes best, by Krumhansl and Schmuckler's algorithm.

A profile says how much each of the twelve notes is used in a key. Those of Carol Krumhansl and
Edward Kessler ("Tracing the dynamic changes in perceived tonal organization", 1982) were chosen by
a test, `tests/bench/key_profiles.py`, which has the others, too.

Pure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from flamingo_common.measured.keys import Mode, MusicKey
from flamingo_pod.measurement.results import KeyEstimate

Profiles = Mapping[Mode, Sequence[float]]
KRUMHANSL_KESSLER: Profiles = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def fit_key(chroma: ArrayLike, profiles: Profiles = KRUMHANSL_KESSLER) -> KeyEstimate | None:
    """Return the key that fits `(12,)` strengths of C to B best; None if they are all equal."""
    strengths = np.asarray(chroma, np.float64)
    around = strengths - strengths.mean()
    norm = float(np.linalg.norm(around))
    if not norm > 0:
        return None
    found = []
    for mode, profile in profiles.items():
        deviations = np.asarray(profile) - np.mean(profile)
        deviations /= np.linalg.norm(deviations)
        for tonic in range(12):
            correlation = float(around @ np.roll(deviations, tonic)) / norm
            found.append((correlation, MusicKey(tonic, mode)))
    (best, key), (second, runner_up) = sorted(found, key=lambda each: -each[0])[:2]
    return KeyEstimate(key, max(best, 0.0), runner_up, max(second, 0.0))
