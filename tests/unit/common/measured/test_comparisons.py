"""What the model says beside what was measured."""

import pytest

from flamingo_common.measured.comparisons import Compared, compare
from flamingo_common.measured.tempos import tempo_relation

FIELDS = {"bpm": "tempo_bpm", "key": "key"}


@pytest.mark.parametrize(
    ("tempo_bpm", "reference_bpm", "relation"),
    [
        (120, 120.0, "same"),
        (120, 115.5, "same"),
        (120, 115.3, "other"),
        (120, 60.1, "double"),
        (60, 120.0, "half"),
        (180, 60.0, "triple"),
        (40, 120.0, "third"),
        (90, 120.0, "other"),
        (1e-9, 120.0, "other"),
        (1e300, 1.0, "other"),
    ],
)
def test_tempos_agree_within_four_percent_at_the_same_level(tempo_bpm, reference_bpm, relation):
    assert tempo_relation(tempo_bpm, reference_bpm) == relation


def test_each_field_has_both_values_and_whether_they_agree():
    answer = {"bpm": 120, "key": "Gb minor", "genre": ["rock"]}
    assert compare(FIELDS, answer, tempo_bpm=60.1, key="F# minor") == [
        Compared("bpm", 120, 60.1, agrees=False, relation="double"),
        Compared("key", "Gb minor", "F# minor", agrees=True, relation="same"),
    ]


@pytest.mark.parametrize(
    ("answer", "bpm"),
    [("120", 120.0), ("120 BPM", 120.0), (" 60 bpm", 120.0), (119.5, 120.0)],
)
def test_a_tempo_is_read_from_text_too(answer, bpm):
    (found,) = compare({"bpm": "tempo_bpm"}, {"bpm": answer}, tempo_bpm=bpm, key=None)
    assert found.relation in {"same", "half"}
    assert found.answer == answer


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        "fast",
        "",
        "120-130",
        -5,
        0,
        float("nan"),
        float("inf"),
        [],
        {},
        "1e999",
        10**400,
    ],
)
def test_an_answer_that_is_no_tempo_neither_agrees_nor_disagrees(answer):
    (found,) = compare({"bpm": "tempo_bpm"}, {"bpm": answer}, tempo_bpm=120.0, key=None)
    assert (found.agrees, found.relation) == (None, None)


@pytest.mark.parametrize("answer", [None, 3, "loud", "C dorian", ["C major"]])
def test_an_answer_that_is_no_key_neither_agrees_nor_disagrees(answer):
    (found,) = compare({"key": "key"}, {"key": answer}, tempo_bpm=None, key="C major")
    assert (found.agrees, found.relation) == (None, None)


def test_what_was_not_measured_is_no_disagreement():
    for found in compare(FIELDS, {"bpm": 120, "key": "C major"}, tempo_bpm=None, key=None):
        assert (found.measured, found.agrees, found.relation) == (None, None, None)


@pytest.mark.parametrize("answer", [None, [], "text", 5, {"other": 1}])
def test_an_answer_may_lack_the_fields(answer):
    found = compare(FIELDS, answer, tempo_bpm=120.0, key="C major")
    assert [(each.field, each.answer, each.agrees) for each in found] == [
        ("bpm", None, None),
        ("key", None, None),
    ]
