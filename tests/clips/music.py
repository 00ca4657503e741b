"""Synthesized music whose tempo and key are known: clicks, drums, and songs of chords."""

import numpy as np

RATE_HZ = 16_000
MODES = ("major", "minor")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
CHORDS = {
    "I": (0, 4, 7), "ii": (2, 5, 9), "iii": (4, 7, 11), "IV": (5, 9, 12), "V": (7, 11, 14),
    "vi": (9, 12, 16), "i": (0, 3, 7), "iv": (5, 8, 12), "v": (7, 10, 14), "VI": (8, 12, 15),
    "III": (3, 7, 10), "VII": (10, 14, 17),
}  # fmt: skip
"""Semitones above the tonic."""
BRIGHTNESSES = (0.3, 0.5, 0.7, 0.85)
"""Of a song's timbre: how much weaker each partial is than the one below it."""
PROGRESSIONS = {
    "major": ("I IV V I", "I V vi IV", "I vi ii V", "vi IV I V", "I IV I V", "I iii IV V"),
    "minor": ("i iv V i", "i VI III VII", "i VII VI V", "i iv VII III", "i VI iv v", "i v VI VII"),
}


def clicks(bpm, seconds=20.0, start_s=0.37, seed=0):
    """Return clicks of 1 kHz in a little noise, and the times at which they begin."""
    samples = np.random.default_rng(seed).normal(0, 1e-4, int(RATE_HZ * seconds))
    time_s = np.arange(RATE_HZ // 10) / RATE_HZ
    click = 0.5 * np.sin(2 * np.pi * 1000 * time_s) * np.exp(-60 * time_s)
    times_s = np.arange(start_s, seconds - 0.15, 60 / bpm)
    for each_s in times_s:
        first = round(each_s * RATE_HZ)
        samples[first : first + len(click)] += click
    return samples.astype(np.float32), times_s


def song_bpm(seed):
    """Return the tempo of the song with a seed."""
    rng = np.random.default_rng(seed)
    rng.uniform(-40, 40)
    rng.choice(BRIGHTNESSES)
    return rng.uniform(80, 140)


def song(tonic, mode, number=0, *, seed=0, seconds=16.0):
    """Return chords on a beat with bass, melody and noise, in any tuning, timbre and tempo."""
    rng = np.random.default_rng(seed)
    tuning_hz = 440 * 2 ** (rng.uniform(-40, 40) / 1200)
    brightness = rng.choice(BRIGHTNESSES)
    num_beat = int(RATE_HZ * 60 / rng.uniform(80, 140))
    samples = np.zeros(int(seconds * RATE_HZ) + num_beat)

    def add(start, note, loudness, decay):
        hz = tuning_hz * 2 ** ((note - 69) / 12)
        time_s = np.arange(num_beat) / RATE_HZ
        tone = np.zeros(num_beat)
        for partial in range(1, 9):
            if hz * partial < 7500:
                phase = 2 * np.pi * (hz * partial * time_s + rng.random())
                tone += brightness ** (partial - 1) * np.sin(phase)
        samples[start : start + num_beat] += loudness * tone * np.exp(-decay * time_s)

    chords = PROGRESSIONS[mode][number % len(PROGRESSIONS[mode])].split()
    hit = np.exp(-np.arange(2000) / 300)
    for beat, start in enumerate(range(0, len(samples) - num_beat, num_beat)):
        chord = CHORDS[chords[beat // 4 % 4]]
        for degree in chord:
            add(start, 48 + tonic + degree, 0.5, 2)
        add(start, 36 + tonic + chord[0] % 12, 0.8, 1)
        tune = chord if rng.random() < 0.6 else SCALES[mode]
        add(start, 60 + tonic + rng.choice(tune), rng.choice([0.3, 0.8]), 3)
        samples[start : start + 2000] += rng.choice([0.2, 0.8]) * rng.normal(size=2000) * hit
    return (0.7 * samples / np.abs(samples).max()).astype(np.float32)


PATTERNS = {
    "rock, hats in eighths": {"K": "x.......x.......", "S": "....x.......x...", "H": "x.x."},
    "rock, hats in sixteenths": {"K": "x.......x.......", "S": "....x.......x...", "H": "x-o-"},
    "house": {"K": "x...", "S": "....x...", "H": "..x."},
    "techno": {"K": "x...", "H": "..x."},
    "breakbeat": {"K": "x.........x.....", "S": "....x.......x...", "H": "x.x."},
    "half time": {"K": "x...............", "S": "........x.......", "H": "x.x."},
    "no hats": {"K": "x.......x.......", "S": "....x.......x..."},
}
"""Kick, snare and hi-hat in sixteenths, repeated: `x` loud, `o` softer, `-` soft."""
LOUDNESS = {"x": 1.0, "o": 0.6, "-": 0.3}


def drums(bpm, pattern, *, seconds=20.0, hats=0.25, seed=0):
    """Return a drum kit that plays one of `PATTERNS`, with hits that differ a little."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 1e-4, int((seconds + 0.3) * RATE_HZ))
    time_s = np.arange(RATE_HZ // 4) / RATE_HZ
    kick = np.sin(2 * np.pi * (50 * time_s + 4 - 4 * np.exp(-40 * time_s))) * np.exp(-14 * time_s)
    body = np.sin(2 * np.pi * 190 * time_s) * np.exp(-18 * time_s)

    def hit(name):
        noise = rng.normal(size=len(time_s))
        if name == "K":
            return 0.8 * kick
        if name == "S":
            return 0.25 * noise * np.exp(-22 * time_s) + 0.3 * body
        return 0.3 * hats * np.diff(noise, 2, prepend=[0, 0]) * np.exp(-60 * time_s)

    for step, at_s in enumerate(np.arange(0.2, seconds, 15 / bpm)):
        first = round(at_s * RATE_HZ)
        for name, line in PATTERNS[pattern].items():
            loudness = LOUDNESS.get(line[step % len(line)], 0) * rng.uniform(0.85, 1)
            if loudness and first + len(time_s) <= len(samples):
                samples[first : first + len(time_s)] += loudness * hit(name)
    return (0.7 * samples / np.abs(samples).max()).astype(np.float32)
