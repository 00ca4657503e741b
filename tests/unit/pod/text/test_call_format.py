"""The tables of calls, from a checkpoint's tokenizer."""

from types import SimpleNamespace

import pytest
import tokenizers
import transformers

from flamingo_pod.engine.structured_output.call_tokens import OPEN
from flamingo_pod.engine.structured_output.reasoning_tokens import has
from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text import call_format
from flamingo_pod.text.reasoning_format import Vocabulary


def tables(made):
    processor = SimpleNamespace(tokenizer=made)
    return call_format.call_tokens(processor, Vocabulary(len(made), {made.eos_token_id}))


def test_a_tokenizer_spells_the_marks_or_has_tokens_for_them():
    made = tokenizer.build()
    (less_than,) = made("<")["input_ids"]
    assert has(tables(made).opening[0], less_than)
    made.add_tokens([tokenizers.AddedToken("<tool_call>", special=False, normalized=False)])
    found = tables(made)
    assert found.texts[-1] == OPEN
    assert has(found.opening[0], len(made) - 1)
    assert has(found.opening[0], less_than)


def test_a_mark_that_is_no_text_is_an_error():
    made = tokenizer.build()
    made.add_special_tokens({"additional_special_tokens": ["<tool_call>"]})
    with pytest.raises(ValueError, match="special token"):
        tables(made)


def test_a_tokenizer_that_is_not_one_of_bytes_is_an_error():
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="a")
    with pytest.raises(ValueError, match="not one of bytes"):
        tables(made)
