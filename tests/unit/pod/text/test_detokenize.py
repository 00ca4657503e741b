import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text.detokenize import Detokenizer, token_bytes

TOKENIZER = tokenizer.build()


def pieces(ids, stops=()):
    detokenizer = Detokenizer(TOKENIZER, stops)
    got = []
    for token_id in ids:
        got.append(detokenizer.push(token_id))
        if detokenizer.is_stopped:
            return got, True
    return [*got, detokenizer.finish()], detokenizer.is_stopped


@given(st.text(max_size=60))
def test_any_text_comes_out_as_it_went_in(text):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert "".join(pieces(ids)[0]) == TOKENIZER.decode(ids, skip_special_tokens=True)


@given(st.lists(st.integers(6, 1023), max_size=40))
def test_any_tokens_lose_no_whole_character(ids):
    whole = TOKENIZER.decode(ids, skip_special_tokens=True)
    assert "".join(pieces(ids)[0]).replace("�", "") == whole.replace("�", "")


def test_a_character_after_broken_bytes_is_whole():
    ids = [100, 100, 162, 147, 100]
    assert TOKENIZER.decode(ids).endswith("\N{CYRILLIC SMALL LETTER OMEGA}")
    assert "".join(pieces(ids)[0]) == TOKENIZER.decode(ids)


def test_a_character_of_four_tokens_is_shown_once_it_is_whole():
    ids = TOKENIZER("🎵", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    assert pieces(ids)[0] == ["", "", "", "🎵", ""]


@given(st.text(max_size=60))
def test_the_bytes_of_the_tokens_are_the_bytes_of_the_text(text):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    composed = unicodedata.normalize("NFC", text)  # which the tokenizer does first
    assert b"".join(token_bytes(TOKENIZER, token_id) for token_id in ids) == composed.encode()


def test_every_token_has_the_bytes_that_the_tokenizer_decodes():
    for token_id in range(len(TOKENIZER)):
        text = token_bytes(TOKENIZER, token_id).decode(errors="replace")
        assert text == TOKENIZER.decode([token_id], skip_special_tokens=False)


def test_an_id_that_only_pads_the_vocabulary_has_no_bytes():
    assert token_bytes(TOKENIZER, len(TOKENIZER) + 5) is None


def test_bytes_that_never_become_a_character_do_not_hold_the_text_back():
    broken = TOKENIZER("🎵", add_special_tokens=False)["input_ids"][:1]
    after = TOKENIZER(" the", add_special_tokens=False)["input_ids"]
    assert "".join(pieces(broken + after * 6)[0]).endswith(" the the")


@pytest.mark.parametrize(
    ("text", "stops", "shown", "is_stopped"),
    [
        pytest.param("one two three", ["two"], "one ", True, id="one token"),
        pytest.param("the saxophone solo", ["phone so"], "the saxo", True, id="across tokens"),
        pytest.param("a b c", ["c", "b"], "a ", True, id="the first to come"),
        pytest.param("ends with st", ["stop"], "ends with st", False, id="only its beginning"),
    ],
)
def test_the_text_ends_before_a_stop_string(text, stops, shown, is_stopped):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    got, stopped = pieces(ids, stops)
    assert ("".join(got), stopped) == (shown, is_stopped)


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=4))
def test_no_part_of_a_stop_string_is_ever_shown(text, stop):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    got, _ = pieces(ids, [stop])
    assert "".join(got) == text.partition(stop)[0]
