"""Keys as files, variables and Secrets give them."""

import codecs

import pytest

from flamingo_common.service import key_text


@pytest.mark.parametrize("before", ["", " ", "\ufeff", "\n\ufeff ", "\u200b"])
@pytest.mark.parametrize("after", ["", "\n", "\r\n", " \t\n", "\u00a0", "\u200b\n", "\ufeff"])
def test_what_surrounds_a_key_is_removed(before, after):
    assert key_text.clean(f"{before}fk-a:B/+=~{after}") == "fk-a:B/+=~"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fk-secret\nfk-other", "character 10 of 18 of the key is a line break"),
        ("fk-se\rcret", "a line break"),
        ("fk-se cret", "whitespace"),
        ("fk-se\u00a0cret", "whitespace"),
        ("fk-se\x00cret", "a control character"),
        ("fk-se\x7fcret", "a control character"),
        ("fk-sécret", "not ASCII"),
        ("fk-se\udce9cret", "not ASCII"),
        ("fk-se\ufeffcret", "not ASCII"),
        ("", "empty"),
        (" \r\n\ufeff", "empty"),
    ],
)
def test_a_key_that_no_header_can_carry_is_refused_in_one_line_without_it(text, says):
    with pytest.raises(key_text.InvalidKey) as caught:
        key_text.clean_from("FLAMINGO_API_KEY", text)
    message = str(caught.value)
    assert message.startswith("FLAMINGO_API_KEY: ")
    assert says in message
    assert "\n" not in message
    assert "cret" not in message


@pytest.mark.parametrize(
    "data",
    [
        b"fk-key\n",
        codecs.BOM_UTF8 + b"fk-key\r\n",
        codecs.BOM_UTF16_LE + "fk-key\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "fk-key".encode("utf-16-be"),
    ],
)
def test_a_file_of_any_editor_is_read(data):
    assert key_text.decode(data) == "fk-key"


@pytest.mark.parametrize("data", [b"\xff", b"fk-\xe9", codecs.BOM_UTF16_LE + b"f\x00k"])
def test_a_file_that_is_not_text_is_refused(data):
    with pytest.raises(key_text.InvalidKey, match="not ASCII"):
        key_text.decode(data)
