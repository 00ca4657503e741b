"""How sure a model is of the values of its answer."""

import math

import pytest

from flamingo_pod.text import confidence


def tokens(*pairs):
    return [(text.encode() if isinstance(text, str) else text, math.log(p)) for text, p in pairs]


def test_a_value_has_the_product_of_the_probabilities_of_its_own_tokens():
    written = tokens(
        ('{"', 0.1), ('genre": ', 0.1), ('"ro', 0.5), ("ck", 0.8), ('"', 0.9), ("}", 0.1)
    )
    found = confidence.of_json('{"genre": "rock"}', written)
    assert found == {"/genre": pytest.approx(0.5 * 0.8 * 0.9)}


def test_a_token_that_reaches_beyond_a_value_counts_for_both():
    written = tokens(('{"a": "', 0.5), ('x", "b": "', 0.25), ('y"', 0.125), ("}", 0.01))
    found = confidence.of_json('{"a": "x", "b": "y"}', written)
    assert found == {"/a": pytest.approx(0.125), "/b": pytest.approx(0.25 * 0.125)}


def test_the_end_of_a_number_counts_since_it_could_go_on():
    written = tokens(('{"bpm": ', 0.1), ("12", 0.5), (",", 0.25), (' "a": 1', 0.5), ("}", 0.5))
    found = confidence.of_json('{"bpm": 12, "a": 1}', written)
    assert found == {"/bpm": pytest.approx(0.125), "/a": pytest.approx(0.25)}


def test_tokens_that_split_a_character_count_for_its_value():
    first, last = "é".encode()[:1], "é".encode()[1:]
    written = tokens(('["', 0.5), (first, 0.5), (last, 0.5), ('"', 0.5), ("]", 0.1))
    assert confidence.of_json('["é"]', written) == {"/0": pytest.approx(0.5**4)}


def test_what_was_written_before_the_answer_does_not_count():
    written = tokens(("</think>\n", 0.01), ('["a"', 0.5), ("]", 0.1))
    assert confidence.of_json('["a"]', written) == {"/0": pytest.approx(0.5)}
    assert confidence.of_text('["a"]', written) == {"": pytest.approx(0.05)}


def test_a_text_as_a_whole_has_the_probability_of_all_of_it():
    assert confidence.of_text("3/4", tokens(("3", 0.5), ("/4", 0.5))) == {"": pytest.approx(0.25)}


def test_a_text_that_is_not_that_of_the_tokens_has_none():
    assert confidence.of_json('["b"]', tokens(('["a"]', 0.5))) is None


def test_a_token_without_bytes_in_a_value_does_not_count():
    written = tokens(('["a"', 0.5), ("", 0.1), ("]", 0.1), ("", 0.1))
    assert confidence.of_json('["a"]', written) == {"/0": pytest.approx(0.5)}


def test_a_value_that_cannot_be_has_no_confidence():
    written = [(b'["a"', -math.inf), (b', "b"', math.log(0.5)), (b"]", 0.0)]
    assert confidence.of_json('["a", "b"]', written) == {"/0": 0.0, "/1": pytest.approx(0.5)}


def test_an_empty_answer_is_certain():
    assert confidence.of_text("", []) == {"": 1.0}
