"""Numbers and booleans in text: one notation, and nothing else that Python reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common import numerals

NO_NUMBERS = [
    *("", "1_0", " 1", "1 ", "1\n", "+1", "0x10", "1,5", "1e", "e5", ".", "-", "--1", "1.2.3"),
    *("inf", "Infinity", "nan", "NaN", "true", "\uff11\uff10", "\u0661", "\u00b2", "1\u00a0"),
]


@pytest.mark.parametrize("text", NO_NUMBERS, ids=ascii)
def test_what_only_python_reads_as_a_number_is_none(text):
    assert numerals.number(text) is None
    assert numerals.whole(text) is None
    assert not numerals.is_number(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0), ("-0", 0), ("007", 7), ("10", 10), ("-10", -10), ("5.", 5.0), (".5", 0.5)),
        *(("0.5", 0.5), ("-1.5", -1.5), ("1e3", 1000.0), ("1.5E-1", 0.15), ("2e+2", 200.0)),
    ],
)
def test_decimal_notation_is_read(text, value):
    assert numerals.number(text) == value
    assert type(numerals.number(text)) is type(value)


def test_a_number_that_no_float_can_be_is_none_but_a_number():
    assert (numerals.number("1e999"), numerals.number("-1e999")) == (None, None)
    assert numerals.is_number("1e999")


def test_long_text_is_no_number_whatever_it_is():
    assert numerals.number("1" * 100_000) is None
    assert numerals.whole("1" * 100_000) is None


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**60), 10**60))
def test_what_json_and_python_write_is_read(value):
    assert numerals.number(repr(value)) == value


@given(st.text(max_size=8) | st.from_regex(r"[-+_.eE\d ]{1,8}", fullmatch=True))
def test_no_text_is_read_otherwise_than_by_python(text):
    value = numerals.number(text)
    if value is not None:
        assert value == float(text)
    if (whole := numerals.whole(text)) is not None:
        assert text.isascii()
        assert whole == int(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("True", True), ("TRUE", True), ("1", True)),
        *(("false", False), ("False", False), ("0", False)),
        *(("", None), ("yes", None), ("on", None), ("t", None), (" true", None), ("2", None)),
    ],
)
def test_a_boolean_is_true_or_false_or_a_digit(text, value):
    assert numerals.boolean(text) is value
