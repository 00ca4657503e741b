"""Control tokens that a tokenizer only marks as special, or finds in what it has normalized."""

import pytest
from fakes.steps import num_steps
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers
from transformers import Qwen2Tokenizer

from flamingo_common.errors import BadRequest
from flamingo_pod.model.builtin import build, tokenizer
from flamingo_pod.text import prompt
from flamingo_pod.text.control_tokens import control_tokens
from flamingo_pod.text.prompt import Turn

NAMED = ("<|im_end|>", "<|endoftext|>")
"""The tokens that this tokenizer has a name for; it lists no others as special."""
ADDED = (
    *(AddedToken(text, special=True, normalized=False) for text in tokenizer.CONTROL_TOKENS),
    AddedToken("<|K|>", special=True, normalized=True),
    AddedToken("<|wide|>", special=True, lstrip=True, rstrip=True, single_word=True),
    AddedToken("<tool_call>", special=False),
    AddedToken("<note>", special=False),
    AddedToken("\n", special=False),
)
KELVIN = "\N{KELVIN SIGN}"
"""NFC, which the tokenizer applies first, makes it a K."""


def flagged_tokenizer():
    """Return the built-in models' tokenizer with control tokens that are only marked so."""
    known = tokenizer.build().backend_tokenizer
    made = Qwen2Tokenizer(
        vocab=known.get_vocab(with_added_tokens=False),
        merges=[
            tuple(merge.split(" "))
            for merge in (tokenizer.FOLDER / "merges.txt").read_text(encoding="utf-8").splitlines()
        ],
        eos_token=NAMED[0],
        pad_token=NAMED[1],
    )
    made.add_tokens(list(ADDED))
    return made


def processor_of(made, template=""):
    processor = build._processor(made)
    processor.chat_template += template
    return processor


@pytest.fixture(scope="module")
def flagged():
    made = flagged_tokenizer()
    assert set(made.all_special_tokens) == set(NAMED), "else this tests nothing"
    return processor_of(made, "{#- <tool_call> -#}")


SPECIAL = [*tokenizer.CONTROL_TOKENS, "<|K|>", "<|wide|>", "<tool_call>"]


@pytest.mark.parametrize("token", SPECIAL)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_token_that_is_only_marked_as_special_is_rejected(flagged, token, role):
    with pytest.raises(BadRequest) as caught:
        prompt.token_ids(flagged, [Turn("user", "hi"), Turn(role, f"say {token} now")], 0)
    assert token in str(caught.value)
    assert caught.value.param == "messages[1].content"


def test_a_token_with_a_name_in_the_processor_is_rejected_even_if_nothing_marks_it():
    made = tokenizer.build()
    made.add_tokens([AddedToken("<clip>", special=False)])
    processor = processor_of(made)
    processor.audio_token = "<clip>"
    with pytest.raises(BadRequest, match="<clip>"):
        prompt.token_ids(processor, [Turn("user", "a <clip>")], 0)


def test_an_added_token_without_meaning_in_the_template_may_be_typed(flagged):
    ids = prompt.token_ids(flagged, [Turn("user", "a <note>\n")], 0)
    assert flagged.tokenizer.convert_tokens_to_ids("<note>") in ids


def test_the_error_names_the_field_that_the_text_came_from(flagged):
    with pytest.raises(BadRequest) as caught:
        prompt.token_ids(flagged, [Turn("user", "<sound>", has_audio=True, field="prompt")], 3)
    assert caught.value.param == "prompt"


def test_a_token_that_normalization_forms_is_rejected(flagged):
    text = f"say <|{KELVIN}|> now"
    assert control_tokens(flagged).first_in(text) is None
    with pytest.raises(BadRequest, match=r"tokenized as the control token '<\|K\|>'") as caught:
        prompt.token_ids(flagged, [Turn("system", "be brief"), Turn("user", text)], 0)
    assert caught.value.param == "messages[1].content"


def test_a_token_that_lowercasing_forms_is_rejected():
    made = flagged_tokenizer()
    made.backend_tokenizer.normalizer = normalizers.Lowercase()
    made.add_tokens([AddedToken("<|loud|>", special=True, normalized=True)])
    with pytest.raises(BadRequest, match=r"<\|loud\|>"):
        prompt.token_ids(processor_of(made), [Turn("user", "<|LOUD|>")], 0)


def test_a_token_that_a_text_forms_with_the_template_is_rejected():
    made = flagged_tokenizer()
    made.add_tokens([AddedToken("ly<|im_end|>", special=True)])
    processor = processor_of(made)
    with pytest.raises(BadRequest, match="together with the chat template") as caught:
        prompt.token_ids(processor, [Turn("user", "hi"), Turn("user", "only")], 0)
    assert caught.value.param == "messages"


pieces = st.sampled_from(
    [
        *SPECIAL,
        *NAMED,
        "<",
        "|",
        "|>",
        "<|",
        "sound",
        ">",
        KELVIN,
        "K",
        "im_end",
        "\n",
        " ",
        "<note>",
    ]
)
texts = st.lists(pieces | st.text(max_size=3), max_size=6).map("".join)
roles = st.sampled_from(["system", "user", "assistant"])


@given(st.lists(st.tuples(roles, texts), min_size=1, max_size=4), st.booleans())
def test_a_prompt_has_exactly_the_control_tokens_of_its_template(flagged, said, has_audio):
    turns = [Turn(role, text, has_audio and not at) for at, (role, text) in enumerate(said)]
    try:
        ids = prompt.token_ids(flagged, turns, 2)
    except BadRequest:
        return
    of_token = {text: flagged.tokenizer.convert_tokens_to_ids(text) for text in SPECIAL}
    begin, end = of_token["<|im_start|>"], of_token["<|im_end|>"]
    audio = [of_token[f"<{name}>"] for name in ("|sound_bos|", "sound", "sound", "|sound_eos|")]
    expected = [] if turns[0].role == "system" else [begin, end]
    for turn in turns:
        expected += [begin, *(audio if turn.has_audio else []), end]
    assert [each for each in ids if each in of_token.values()] == [*expected, begin]


def test_a_text_is_searched_without_a_loop_over_its_characters(flagged):
    control = control_tokens(flagged)
    short, long = "<|" * 10, "<|" * 50_000
    assert num_steps(lambda: control.first_in(long)) == num_steps(lambda: control.first_in(short))
