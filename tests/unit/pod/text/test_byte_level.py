"""The bytes of tokens, and the text that they become one by one."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken

from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text.byte_level import ByteLevelDecoder, token_bytes

TOKENIZER = tokenizer.build()
TOKENIZER.add_tokens(
    [
        AddedToken("<note>"),
        AddedToken("<two words>"),
        AddedToken("Ġé♪"),
        AddedToken("<hidden>", special=True),
    ]
)
BEYOND = len(TOKENIZER) + 5


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
    assert token_bytes(TOKENIZER, BEYOND) is None


def whole(ids):
    return TOKENIZER.decode(ids, skip_special_tokens=True)


def of_text(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


UNUSUAL = "🎵🏳️‍🌈e\u0301日本語한국어ñ\ufffd\0\u2028<note><two words><sound>"
any_ids = st.lists(st.integers(0, BEYOND), max_size=40)
ids_of_texts = st.text(max_size=20).map(of_text) | st.text(UNUSUAL, max_size=20).map(of_text)


def joined(parts):
    return [token_id for part in parts for token_id in part]


@given(st.lists(any_ids | ids_of_texts, max_size=4).map(joined))
def test_after_each_token_the_text_is_the_tokenizers_up_to_an_unfinished_character(ids):
    decoder, shown = ByteLevelDecoder(TOKENIZER), ""
    for number, token_id in enumerate(ids, start=1):
        shown += decoder.push(token_id)
        decoded = whole(ids[:number])
        assert decoded.startswith(shown)
        assert set(decoded[len(shown) :]) <= {"\ufffd"}
        assert len(decoded) - len(shown) <= 1, "no more than one character is unfinished"
    assert shown + decoder.finish() == whole(ids)


@given(any_ids, st.integers(0, 40))
def test_wherever_it_ends_the_text_is_the_tokenizers(ids, length):
    decoder = ByteLevelDecoder(TOKENIZER)
    shown = "".join(decoder.push(each) for each in ids[:length]) + decoder.finish()
    assert shown == whole(ids[:length])
