"""Which tempos are measured: `python tests/bench/tempos.py [FILE …]`. Needs the extra `measure`.

Without files: of click tracks, drums, and the songs of `key_profiles.py`, whose tempos are known,
printed is how many are measured at their tempo, at half or double of it, at another, or at none,
before the beats are tracked again (`tempo.is_half`) and after. With files: the tempo before and
after of those where it differs.
"""

import collections
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from clips import music as songs

from flamingo_common.audio.windows import SAMPLE_RATE_HZ
from flamingo_common.errors import FlamingoError
from flamingo_pod.audio.sound_file import decode_bytes
from flamingo_pod.measurement import measure, music, tempo

CLICK_BPMS = (
    30, 35, 40, 45, 50, 55, 60, 66.6, 72, 80, 90, 97, 100, 110, 120, 128, 140, 150, 160, 174, 180,
    200, 220, 240, 300,
)  # fmt: skip
DRUM_BPMS = (60, 70, 80, 90, 100, 110, 120, 128, 140, 150, 160, 174, 190)
NUM_SONGS = 48
MAX_FILE_S = 90
RELATIONS = {"same": 1.0, "half": 0.5, "double": 2.0}
COLUMNS = (*RELATIONS, "other", "none")


def known():
    """Yield the kind of each clip, its tempo, and its samples."""
    for bpm in CLICK_BPMS:
        yield "clicks, 20 s", bpm, songs.clicks(bpm)[0]
    for name, bpm in itertools.product(songs.PATTERNS, DRUM_BPMS):
        yield f"drums, {name}", bpm, songs.drums(bpm, name)
    for bpm in DRUM_BPMS:
        yield "drums, rock, loud hats", bpm, songs.drums(bpm, "rock, hats in eighths", hats=0.6)
    for seed in range(NUM_SONGS):
        mode = songs.MODES[seed % 2]
        yield "songs", songs.song_bpm(seed), songs.song(seed % 12, mode, seed, seed=seed)


def tempos(samples):
    """Return the tempo with each beat that was tracked first, and as it is measured; or None."""
    beats, _ = measure.measure_beats(samples, 0.0)
    onsets = music.onset_strengths(music.band_levels(samples))
    frames = music.beat_frames(onsets, music.likely_tempo_bpm(onsets))
    first_bpm = tempo.steady_tempo_bpm((frames / music.FRAMES_PER_S).tolist())
    if first_bpm is not None:
        strength = tempo.beat_strength(onsets, 60 / first_bpm * music.FRAMES_PER_S)
        first_bpm = first_bpm if strength >= tempo.MIN_STRENGTH else None
    return first_bpm, beats and beats.tempo_bpm


def relation(found_bpm, bpm):
    """Return how a measured tempo relates to the true one, within 1 %."""
    if found_bpm is None:
        return "none"
    ratios = RELATIONS.items()
    return next((name for name, one in ratios if abs(found_bpm / bpm / one - 1) < 0.01), "other")


def print_known():
    """Print a row for each kind of clip."""
    counts = collections.defaultdict(lambda: (collections.Counter(), collections.Counter()))
    for kind, bpm, samples in known():
        for count, found_bpm in zip(counts[kind], tempos(samples), strict=True):
            count[relation(found_bpm, bpm)] += 1
    print("| clips |", " | ".join(COLUMNS), "|")
    print("| --- |", "---: | " * len(COLUMNS))
    for kind, both in counts.items():
        cells = (" → ".join(str(count[name]) for count in both) for name in COLUMNS)
        print(f"| {kind} |", " | ".join(cells), "|")


def print_files(files):
    """Print the files whose tempo differs, and how many have one."""
    num_measured = 0
    for file in files:
        try:
            samples = decode_bytes(Path(file).read_bytes(), 7200)[: MAX_FILE_S * SAMPLE_RATE_HZ]
        except FlamingoError as error:
            print(f"{Path(file).name}: {error.message}")
            continue
        before_bpm, after_bpm = (one and round(one) for one in tempos(samples))
        if before_bpm != after_bpm:
            print(f"{before_bpm} → {after_bpm}: {Path(file).name}", flush=True)
        num_measured += after_bpm is not None
    print(f"{num_measured} of {len(files)} files have a tempo")


if __name__ == "__main__":
    print_files(sys.argv[1:]) if sys.argv[1:] else print_known()
