"""Which key profiles fit synthesized songs best: `python tests/bench/key_profiles.py [ROUNDS]`.

Each round has a song in each of the 24 keys, with one of six chord progressions, in any tuning,
timbre and tempo. A song counts as in MIREX: 1 for its key, 0.5 for one a fifth apart, 0.3 for the
relative and 0.2 for the parallel key. Needs the extra `measure`.
"""

import collections
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from clips import music as songs

from flamingo_common.measured.keys import MusicKey, key_relation
from flamingo_pod.measurement import music
from flamingo_pod.measurement.key_profiles import KRUMHANSL_KESSLER, fit_key

WEIGHTS = {"same": 1.0, "fifth": 0.5, "relative": 0.3, "parallel": 0.2, "other": 0.0}
PROFILES = {
    "Krumhansl and Kessler 1982": KRUMHANSL_KESSLER,
    "Temperley 2001": {
        "major": (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0),
        "minor": (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0),
    },
    "Temperley 2007 (Kostka and Payne)": {
        "major": (.748, .06, .488, .082, .67, .46, .096, .715, .104, .366, .057, .4),
        "minor": (.712, .084, .474, .618, .049, .46, .105, .747, .404, .067, .133, .33),
    },
    "Bellman and Budge 2005": {
        "major": (16.8, .86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.8, 8.04, .62, 10.57),
        "minor": (18.16, .69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, .92, 10.21),
    },
    "Albrecht and Shanahan 2013": {
        "major": (.238, .006, .111, .006, .137, .094, .016, .214, .009, .08, .008, .081),
        "minor": (.22, .006, .104, .123, .019, .103, .012, .214, .062, .022, .061, .052),
    },
    "Faraldo and others 2016 (edma)": {
        "major": (.165, .047, .083, .067, .1, .093, .053, .132, .052, .074, .069, .064),
        "minor": (.172, .053, .076, .1, .056, .085, .05, .135, .075, .05, .092, .055),
    },
}  # fmt: skip


def main(num_rounds: int) -> None:
    """Print a row for each table of profiles."""
    counts = collections.defaultdict(collections.Counter)
    for number, (turn, mode, tonic) in enumerate(
        itertools.product(range(num_rounds), songs.MODES, range(12))
    ):
        samples = songs.song(tonic, mode, turn * 5 + tonic, seed=number)
        chroma = music.mean_chroma(samples)
        for name, profiles in PROFILES.items():
            found = fit_key(chroma, profiles)
            counts[name][key_relation(found.key, MusicKey(tonic, mode))] += 1
    print("| profiles | MIREX |", " | ".join(WEIGHTS), "|")
    print("| --- | ---: |", "---: | " * len(WEIGHTS))
    for name, count in counts.items():
        score = sum(WEIGHTS[relation] * number for relation, number in count.items())
        cells = " | ".join(str(count[relation]) for relation in WEIGHTS)
        print(f"| {name} | {score / count.total():.3f} | {cells} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
