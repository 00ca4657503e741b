"""File names and servers' texts on a terminal."""

import json
import os

import pytest

from flamingo_common.service import printable

HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x9b31m",
    "a\x08b",
    "\x7f",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\u2028",
    os.fsdecode(b"caf\xe9.mp3"),
    "\ud800",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_terminal_would_obey_or_no_encoding_has_is_left(text):
    for escape in (printable.escape_text, printable.escape_line):
        shown = escape(f"before {text} after")

        assert shown.isprintable()
        assert shown.encode().startswith(b"before ")
        assert "\\" in shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"caf\xe9.mp3"), "caf\\xe9.mp3"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e", "\\u202e"),
        ("日本 \u200f.mp3", "日本 \\u200f.mp3"),
        ("café 🎵 \"quoted\" 'it'.mp3", "café 🎵 \"quoted\" 'it'.mp3"),
    ],
)
def test_name_is_one_line_in_which_what_is_visible_is_kept(name, shown):
    assert printable.escape_line(name) == shown


def test_text_keeps_its_lines_and_all_scripts():
    text = "Tempo:\t120\nשלום\u200f 👩\u200d🎤 café\n"  # noqa: RUF001 - Hebrew

    assert printable.escape_text(text) == text


def test_only_undecoded_bytes_of_a_name_are_escaped():
    assert printable.escape_undecoded(os.fsdecode(b"a\nb\xe9\xff")) == "a\nb\\xe9\\xff"


@pytest.mark.parametrize("text", HOSTILE)
def test_json_keeps_its_value_and_is_printable(text):
    document = json.dumps({"file": text}, ensure_ascii=False)

    shown = printable.escape_json(document)

    assert shown.isprintable()
    assert json.loads(shown) == {"file": text}
