"""`data:` URLs as browsers, libraries and people write them."""

import pytest

from flamingo_common.wire import data_url

LONG = "x" * data_url.MAX_HEADER_CHARS


@pytest.mark.parametrize(
    "header",
    [
        "data:audio/wav;base64,",
        "DATA:AUDIO/WAV;BASE64,",
        "Data:;base64,",
        "data:audio/webm;codecs=opus;base64,",
        'data:audio/ogg; codecs="opus,vorbis"; base64,',
        'data:audio/ogg;codecs="a\\",b";base64,',
        "data:audio/wav;charset=utf-8;base64,",
        "data:audio/wav;name=a%2Cb.wav;base64 ,",
        ' \n\tdata:audio/ogg;codecs="opus;base64,',
    ],
)
def test_the_data_begins_after_the_comma_of_the_header(header):
    assert data_url.is_data_url(header)
    assert data_url.parse_header(f"{header}AA,AA") == data_url.DataUrlHeader(len(header), True)


@pytest.mark.parametrize(
    "header", ["data:,", "data:audio/wav,", "data:audio/wav;base64=1,", 'data:a/b;c=";base64",']
)
def test_data_without_base64_is_percent_encoded(header):
    assert data_url.parse_header(f"{header}%41") == data_url.DataUrlHeader(len(header), False)


@pytest.mark.parametrize("text", ["data:audio/wav;base64", f"data:{LONG},", "dat:,", ""])
def test_text_without_a_header_has_none(text):
    assert data_url.parse_header(text) is None


@pytest.mark.parametrize("text", ["https://a/data:", "UklGR", "date:", f"{LONG}{LONG} data:,"])
def test_other_text_is_no_data_url(text):
    assert not data_url.is_data_url(text)


@pytest.mark.parametrize("num_chars", [3, 4, 5, 100])
@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("%52%49FF%00%ff", b"RIFF\0\xff"),
        ("a+b c", b"a+b c"),
        ("100%", b"100%"),
        ("%zz%4", b"%zz%4"),
        ("RIFF#fragment", b"RIFF"),
        ("", b""),
    ],
)
def test_percent_encoded_data_is_decoded_in_chunks_of_any_size(text, data, num_chars):
    assert b"".join(data_url.unquote_chunks(f"data:,{text}", 6, num_chars)) == data
