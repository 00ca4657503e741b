"""Keys in the spellings that people, models and programs use, and how they relate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.measured.keys import NAMES, MusicKey, key_relation, parse_key

KEYS = st.builds(MusicKey, st.integers(0, 11), st.sampled_from(["major", "minor"]))
SPELLINGS = {
    "F# minor": ["F# minor", "Gb min", "F♯m", "f sharp minor", "F#m", "F#:min", "F-sharp minor",
                 "f#-Moll", "Gb minor", "G♭ Minor", "F# min.", "F# minor scale", "  F#   minor "],
    "Ab major": ["A-flat major", "Ab", "A♭ Major", "G# maj", "AbM", "Ab:maj", "A flat",
                 "key of Ab major", "A flat dur"],
    "B minor": ["B minor", "Bm", "bm", "Cb min", "B:min", "B m"],
    "Bb minor": ["Bb minor", "Bbm", "A# minor", "B flat minor", "bb minor"],
    "B major": ["B", "b", "Cb", "B major"],
    "C major": ["C", "C major", "Cmaj", "B# major", "C M", "CM"],
    "E minor": ["Em", "E minor", "Fb min", "E Minor key"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in SPELLINGS.items() for text in texts]
)
def test_a_key_is_read_in_any_spelling(name, text):
    assert parse_key(text).name == name


@pytest.mark.parametrize(
    "text",
    ["", "H minor", "D dorian", "none", "C or G", "C major, then A minor", "6A", "120", "F##m",
     "A" * 1000, "major", "#", "Atonal", "Bass", "Fm7", "D\0"],
)  # fmt: skip
def test_what_is_no_major_or_minor_key_is_not_read_as_one(text):
    assert parse_key(text) is None


@given(KEYS)
def test_every_name_is_read_back(key):
    assert parse_key(key.name) == key
    assert key.name.startswith(key.tonic_name)
    assert key.tonic_name in NAMES[key.mode]


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_none(text):
    assert parse_key(text) is None or 0 <= parse_key(text).tonic < 12


@pytest.mark.parametrize(
    ("one", "other", "relation"),
    [
        ("C major", "C major", "same"),
        ("Gb major", "F# major", "same"),
        ("C major", "A minor", "relative"),
        ("C minor", "Eb major", "relative"),
        ("C major", "C minor", "parallel"),
        ("C major", "G major", "fifth"),
        ("C major", "F major", "fifth"),
        ("A minor", "E minor", "fifth"),
        ("C major", "E minor", "other"),
        ("C major", "D major", "other"),
        ("C major", "F# minor", "other"),
    ],
)
def test_keys_relate_as_in_mirex(one, other, relation):
    assert key_relation(parse_key(one), parse_key(other)) == relation


@given(KEYS, KEYS, st.integers(0, 11))
def test_a_relation_is_mutual_and_the_same_in_all_transpositions(one, other, semitones):
    def moved(key):
        return MusicKey((key.tonic + semitones) % 12, key.mode)

    relation = key_relation(one, other)
    assert key_relation(other, one) == relation
    assert key_relation(moved(one), moved(other)) == relation
    assert (relation == "same") == (one == other)
