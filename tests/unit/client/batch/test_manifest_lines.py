import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo.batch.items import Item, Malformed
from flamingo.batch.manifest_lines import fields_of_texts, item_of

PLACE = "songs.jsonl:17"


def parsed(**row):
    return item_of(row, PLACE)


@pytest.mark.parametrize("name", ["audio", "path", "file_name", "audio_filepath", "url"])
def test_the_clip_is_in_one_of_the_known_fields(name):
    item = parsed(**{name: "a.flac", "genre": "waltz"})

    assert item == Item(PLACE, "a.flac", columns={name: "a.flac", "genre": "waltz"})


def test_a_custom_id_is_the_key():
    assert parsed(audio="a.flac", custom_id="song-1").key == "song-1"


def test_request_fields_of_the_line_are_options_and_stay_columns():
    item = parsed(audio="a.flac", question="Which key?", max_tokens=9, style=None)

    assert item.options == {"question": "Which key?", "max_tokens": 9}
    assert item.columns["question"] == "Which key?"


def test_a_duration_is_a_hint():
    assert parsed(audio="a.flac", duration=12).duration_s == 12.0
    assert parsed(audio="a.flac", duration="12").duration_s is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "the clip is missing; expected one of audio, path"),
        ({"audio": 7}, "audio must be a path or a URL as text, not 7"),
        ({"audio": ""}, "audio must be a path or a URL as text"),
        ({"audio": "a.flac", "custom_id": 7}, "custom_id must be text, not 7"),
    ],
)
def test_another_row_is_malformed_with_its_place_and_the_reason(row, problem):
    entry = parsed(**row)

    assert isinstance(entry, Malformed)
    assert entry.key == PLACE
    assert problem in entry.message


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([]))
NAMES = st.sampled_from(["audio", "path", "custom_id", "duration", "question", "title"])


@given(st.dictionaries(NAMES, VALUES))
def test_any_row_is_an_item_or_malformed(row):
    assert isinstance(item_of(row, PLACE), Item | Malformed)


def test_in_a_table_of_text_an_empty_cell_is_missing_and_a_number_is_a_number():
    row = {"audio": "a.flac", "custom_id": "", "style": "", "max_tokens": "9", "duration": "1.5"}
    item = item_of(fields_of_texts({**row, "title": ""}), PLACE)

    assert (item.key, item.options, item.duration_s) == (PLACE, {"max_tokens": 9}, 1.5)
    assert item.columns["title"] == ""


def test_in_a_table_of_text_what_is_not_a_number_stays_for_the_server_to_refuse():
    item = item_of(fields_of_texts({"audio": "a.flac", "max_tokens": "few"}), PLACE)

    assert item.options == {"max_tokens": "few"}
