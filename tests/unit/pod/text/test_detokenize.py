import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text.detokenize import Detokenizer, WindowDecoder

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


@given(st.lists(st.integers(0, 1030), max_size=40))
def test_any_tokens_are_the_text_that_the_tokenizer_decodes(ids):
    assert "".join(pieces(ids)[0]) == TOKENIZER.decode(ids, skip_special_tokens=True)


def test_a_character_after_broken_bytes_is_whole():
    ids = [100, 100, 162, 147, 100]
    assert TOKENIZER.decode(ids).endswith("\N{CYRILLIC SMALL LETTER OMEGA}")
    assert "".join(pieces(ids)[0]) == TOKENIZER.decode(ids)


def with_byte_fallback():
    """Return a tokenizer of another kind: spaces before words, and bytes that are tokens."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    vocab |= {piece: 256 + number for number, piece in enumerate(["▁the", "▁", "a", "é", ",", "b"])}
    made = Tokenizer(models.BPE(vocab, [], byte_fallback=True))
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made)


OTHER = with_byte_fallback()
characters = st.sampled_from("aé,🎵日ω").map(lambda each: list(each.encode()))
words = st.integers(256, 261).map(lambda each: [each])


def joined(parts):
    return [token_id for part in parts for token_id in part]


@given(st.lists(characters | words, max_size=20).map(joined))
def test_a_tokenizer_of_another_kind_is_decoded_too(ids):
    decoder = Detokenizer(OTHER)
    assert isinstance(decoder._decoder, WindowDecoder)
    shown = "".join(decoder.push(each) for each in ids) + decoder.finish()
    assert shown == OTHER.decode(ids, skip_special_tokens=True)


def test_a_character_of_four_tokens_is_shown_once_it_is_whole():
    ids = TOKENIZER("🎵", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    assert pieces(ids)[0] == ["", "", "", "🎵", ""]


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


def text_of(text, stops, **how):
    detokenizer = Detokenizer(TOKENIZER, stops, **how)
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    shown = "".join(detokenizer.push(token_id) for token_id in ids) + detokenizer.finish()
    return shown, detokenizer.stop_string


def test_a_stop_string_can_be_kept():
    assert text_of("one two three", ["two", "wo t"], is_stop_kept=True) == ("one two", "two")
    assert text_of("one two three", ["two", "wo t"]) == ("one ", "two")


def test_a_stop_string_does_not_end_the_first_tokens():
    ids = TOKENIZER("one two one two", add_special_tokens=False)["input_ids"]
    half = len(TOKENIZER("one two", add_special_tokens=False)["input_ids"])
    assert text_of("one two one two", ["two"], min_tokens=half) == ("one two one ", "two")
    assert text_of("one two one two", ["two"], min_tokens=len(ids)) == ("one two one two", None)
