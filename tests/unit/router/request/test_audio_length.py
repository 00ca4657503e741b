"""The scan of a body's first bytes: the same result however the body is split."""

import base64
import io
import itertools
import json
import urllib.parse

import numpy as np
import pytest
import soundfile
from fakes.effort import examples
from fakes.steps import num_steps
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_router.request import audio_length
from flamingo_router.request.scan import MAX_HEAD_BYTES, SAMPLE_BYTES

JSON = "application/json"
FORM = "multipart/form-data; boundary=xYz"


def wav(seconds, rate_hz=8000):
    target = io.BytesIO()
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, int(seconds * rate_hz))
    soundfile.write(target, noise, rate_hz, format="WAV", subtype="PCM_16")
    return target.getvalue()


SHORT = wav(2.0)
LONG = wav(60.0)  # 960 kB: most of it is past the head


def scanned(body, *, content_type=JSON, total_bytes=None, sizes=None):
    """Return the scan of `body`, fed in chunks of `sizes`, until it says that it is done."""
    scan, at = audio_length.scan_for(content_type, total_bytes), 0
    for size in itertools.chain(sizes or [len(body)], itertools.repeat(len(body))):
        if scan.is_done or at >= len(body):
            return scan, min(at, len(body))
        scan.feed(body[at : at + size])
        at += size
    raise AssertionError


def measured(body, **options):
    scan, num_read = scanned(body, total_bytes=len(body), **options)
    return audio_length.measure(scan, unread_bytes=len(body) - num_read)


def b64(data):
    return base64.b64encode(data).decode()


def chat(part, *, after=None, text="What key?"):
    content = [{"type": "text", "text": text}, part]
    return {"messages": [{"role": "user", "content": content}]} | (after or {})


def input_audio(data):
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def as_json(value, **options):
    return json.dumps(value, **options).encode()


def form(data, *, name=b"audio", before=b"", after=b""):
    part = b'--xYz\r\nContent-Disposition: form-data; name="%s"; filename="a.wav"\r\n' % name
    return before + part + b"Content-Type: audio/wav\r\n\r\n" + data + after + b"\r\n--xYz--\r\n"


def field(name, value):
    return b'--xYz\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, value)


ACCEPTED = {
    "OpenAI's part": as_json(chat(input_audio(b64(SHORT)))),
    "model and stream before": as_json(
        {"model": "m", "stream": True} | chat(input_audio(b64(SHORT)))
    ),
    "model and stream behind": as_json(
        chat(input_audio(b64(SHORT)), after={"model": "m", "stream": True})
    ),
    "format before data": as_json(
        chat({"input_audio": {"format": "wav", "data": b64(SHORT)}, "type": "input_audio"})
    ),
    "without spaces": as_json(chat(input_audio(b64(SHORT))), separators=(",", ":")),
    "indented": as_json(chat(input_audio(b64(SHORT))), indent=2),
    "the first server's part": as_json(chat({"type": "audio", "audio": {"data": b64(SHORT)}})),
    "a data URL in data": as_json(
        {"audio": {"data": "data:audio/wav;base64," + b64(SHORT)}, "style": "brief"}
    ),
    "vLLM's part": as_json(
        chat({"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64," + b64(SHORT)}})
    ),
    "a data URL as audio": as_json({"audio": "data:audio/wav;base64," + b64(SHORT)}),
    "OpenAI's embeddings": as_json({"model": "m", "input": "data:;base64," + b64(SHORT)}),
    "a data URL in capitals": as_json({"input": "DATA:AUDIO/WAV;BASE64," + b64(SHORT)}),
    "a data URL with blanks around it": as_json(
        {"audio": {"data": " \ndata:audio/wav; base64 ," + b64(SHORT) + "\n"}}
    ),
    "a data URL with a quoted parameter": as_json(
        {"audio": {"url": 'data:audio/wav;codecs="pcm,1";base64,' + b64(SHORT)}}
    ),
    "a data URL with escapes": as_json({"input": "data:;base64," + b64(SHORT)}).replace(
        b"data:", b"\\u0064ata:"
    ),
    "a percent-encoded data URL": as_json(
        {"audio_url": {"url": "data:audio/wav," + urllib.parse.quote_from_bytes(SHORT)}}
    ),
    "a percent-encoded data URL of base64": as_json(
        {"audio_url": {"url": "data:;base64," + urllib.parse.quote(b64(SHORT), safe="")}}
    ),
    "a file of OpenAI's responses": as_json(
        {"input": [{"content": [{"type": "input_file", "file_data": b64(SHORT)}]}]}
    ),
    "a data URL in a file": as_json(
        {"input": [{"content": [{"file_data": "data:audio/wav;base64," + b64(SHORT)}]}]}
    ),
    "audio of OpenAI's responses": as_json(
        {"input": [{"role": "user", "content": [input_audio(b64(SHORT))]}]}
    ),
    "a list of inputs": as_json({"model": "m", "input": ["data:;base64," + b64(SHORT)]}),
    "URL-safe": as_json({"audio": {"data": base64.urlsafe_b64encode(SHORT).decode()}}),
    "without padding": as_json({"audio": {"data": b64(SHORT).rstrip("=")}}),
    "escaped as PHP does": as_json({"audio": {"data": b64(SHORT)}}).replace(b"/", b"\\/"),
    "escaped as .NET does": as_json({"audio": {"data": b64(SHORT)}}).replace(b"+", b"\\u002B"),
    "a URL escaped as PHP does": as_json(
        {"audio": {"url": "data:audio/wav;base64," + b64(SHORT)}}
    ).replace(b"/", b"\\/"),
    "a prompt that quotes the API": as_json(
        chat(input_audio(b64(SHORT)), text='say \\"audio": {"data": "UklGRg=="} \\\\')
    ),
    "audio twice": as_json([chat(input_audio(b64(SHORT))), chat(input_audio(b64(LONG)))]),
}


@pytest.mark.parametrize(
    "url",
    [
        "data:audio/wav;base64," + b64(LONG),
        "Data:audio/wav," + urllib.parse.quote_from_bytes(LONG),
        'data:audio/wav;codecs="1,2",' + urllib.parse.quote_from_bytes(LONG),
        "data:;base64," + urllib.parse.quote(b64(LONG), safe=""),
    ],
    ids=["base64", "percent-encoded", "quoted", "base64, percent-encoded"],
)
def test_a_long_clip_in_a_data_url_of_any_kind_is_measured(url):
    for sizes in (None, [7] * 40_000):
        result = measured(as_json({"input": url}), sizes=sizes)
        assert result.source == "exact"
        assert result.seconds == pytest.approx(60.0, abs=0.01)


@pytest.mark.parametrize("url", ["HTTPS://example.org/a.mp3", " \nhttp://example.org/a.mp3"])
def test_a_url_is_found_in_any_case_and_with_blanks(url):
    scan, _ = scanned(as_json({"audio": {"url": url}}))
    assert scan.has_url


@pytest.mark.parametrize("name", ACCEPTED)
def test_audio_is_found_in_every_accepted_body(name):
    result = measured(ACCEPTED[name])

    assert result.source == "exact"
    assert result.seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_body_sent_byte_by_byte_is_read_the_same(name):
    body = ACCEPTED[name]

    whole, _ = scanned(body)
    crumbs, _ = scanned(body, sizes=itertools.repeat(1))

    assert crumbs.sample == whole.sample
    assert whole.sample is not None


SPLIT = {
    "short": as_json(chat(input_audio(b64(SHORT)), after={"model": "m"})),
    "long": as_json(chat(input_audio(b64(LONG)), after={"model": "m"})),
    "escaped": as_json({"audio": {"data": b64(LONG)}}).replace(b"/", b"\\/"),
    "text only": as_json({"messages": [{"role": "user", "content": 'a "quoted\\" word'}]}),
    "short form": form(SHORT, before=field(b"style", b"brief")),
    "long form": form(LONG, after=b"\r\n" + field(b"style", b"brief").rstrip()),
}


@settings(max_examples=examples(60))
@given(data=st.data())
@pytest.mark.parametrize("name", SPLIT)
def test_the_result_does_not_depend_on_how_the_body_is_split(name, data):
    body, content_type = SPLIT[name], FORM if name.endswith("form") else JSON
    sizes = data.draw(st.lists(st.one_of(st.integers(1, 60), st.integers(1, 70_000))))
    options = {"content_type": content_type, "total_bytes": len(body)}

    whole, _ = scanned(body, **options)
    parts, _ = scanned(body, sizes=sizes, **options)

    assert parts.sample == whole.sample
    assert parts.has_url == whole.has_url


def test_a_byte_order_mark_hides_no_audio():
    body = json.dumps(chat(input_audio(b64(SHORT)))).encode()
    assert measured(b"\xef\xbb\xbf" + body) == measured(body)


def test_a_long_clip_is_known_before_it_has_arrived():
    body = as_json(chat(input_audio(b64(LONG))))
    scan, num_read = scanned(body, total_bytes=len(body), sizes=itertools.repeat(4096))

    assert num_read < SAMPLE_BYTES * 4 / 3 + 8192
    assert len(scan.sample.head) == SAMPLE_BYTES // 3 * 3
    assert scan.sample.total_bytes == pytest.approx(len(LONG), abs=100)


def test_a_short_clip_is_known_before_what_follows_it():
    body = as_json(chat(input_audio(b64(SHORT)), after={"model": "m"}))
    end = body.index(b'", "format"') + 1

    assert scanned(body[:end])[0].is_done


def test_a_form_is_read_by_its_file_whatever_it_is_called():
    body = form(SHORT, name=b"whatever", before=field(b"prompt", b"filename=x"))
    result = measured(body, content_type=FORM)

    assert (round(result.seconds, 2), result.source) == (2.0, "exact")


def test_a_long_form_file_is_known_before_it_has_arrived():
    body = form(LONG)
    scan, num_read = scanned(
        body, content_type=FORM, total_bytes=len(body), sizes=itertools.repeat(4096)
    )

    assert num_read < SAMPLE_BYTES + 8192
    assert scan.sample.total_bytes == len(LONG)


@pytest.mark.parametrize("quoting", ['"a b:c"', "abc"], ids=["quoted", "plain"])
def test_a_boundary_may_be_quoted(quoting):
    separator = quoting.strip('"').encode()
    body = form(SHORT).replace(b"xYz", separator)

    result = measured(body, content_type=f"Multipart/Form-Data; boundary={quoting}; charset=x")

    assert result.seconds == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        pytest.param(as_json({"messages": []}), JSON, audio_length.NO_AUDIO, id="no audio"),
        pytest.param(b"", JSON, audio_length.NO_AUDIO, id="no body"),
        pytest.param(b"]]]", JSON, audio_length.NO_AUDIO, id="not JSON"),
        pytest.param(
            b'{"audio": {"data": ""}}', JSON, audio_length.AudioLength(180, "assumed"), id="empty"
        ),
        pytest.param(
            b'{"audio": {"url": "https://x/y.mp3"}}',
            JSON,
            audio_length.AudioLength(180, "assumed"),
            id="a URL",
        ),
        pytest.param(
            b'{"image_url": {"url": "https://x/y.png"}}',
            JSON,
            audio_length.NO_AUDIO,
            id="an image's URL",
        ),
        pytest.param(
            b'{"note": {"data": "UklGRg=="}}',
            JSON,
            audio_length.NO_AUDIO,
            id="data of something else",
        ),
        pytest.param(
            b'{"text": "data:audio/wav;base64,UklGRg=="}',
            JSON,
            audio_length.NO_AUDIO,
            id="text, no URL",
        ),
        pytest.param(
            field(b"a", b"b") + b"--xYz--", FORM, audio_length.NO_AUDIO, id="a form of words"
        ),
    ],
)
def test_bodies_without_audio(body, content_type, expected):
    assert measured(body, content_type=content_type) == expected


def test_a_form_that_cannot_be_read_counts_as_a_song():
    scan, _ = scanned(b"x", content_type="multipart/form-data")

    assert audio_length.measure(scan, unread_bytes=None) == audio_length.AudioLength(180, "assumed")


def test_broken_base64_goes_by_its_size():
    text = "!" * 40_000 + "ü"
    result = measured(as_json({"audio": {"data": text}}))

    assert result.source == "bytes"


def test_audio_past_the_head_goes_by_the_size_of_the_rest():
    body = as_json(chat(input_audio(b64(LONG)), text="x" * MAX_HEAD_BYTES))
    result = measured(body, sizes=itertools.repeat(65_536))

    assert result.source == "bytes"
    assert result.seconds == pytest.approx(len(LONG) / 16_000, rel=0.1)


def test_a_chunked_upload_of_a_counted_clip_is_exact():
    scan, _ = scanned(as_json(chat(input_audio(b64(LONG)))), total_bytes=None)

    assert audio_length.measure(scan, unread_bytes=None) == audio_length.AudioLength(60.0, "exact")


@given(st.binary(max_size=400), st.sampled_from([JSON, FORM]), st.integers(1, 50))
def test_no_body_breaks_the_scan(body, content_type, size):
    scan, _ = scanned(body, content_type=content_type, sizes=itertools.repeat(size))
    audio_length.measure(scan, unread_bytes=None)


@given(st.text(alphabet='{}[]",:\\ data audio url', max_size=200), st.integers(1, 9))
def test_no_json_like_body_breaks_the_scan(text, size):
    scan, _ = scanned(text.encode(), sizes=itertools.repeat(size))
    audio_length.measure(scan, unread_bytes=0)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"{" + b"," * 300_000, JSON, id="commas"),
        pytest.param(b"[" * 300_000, JSON, id="brackets"),
        pytest.param(b'["' + b'\\"' * 150_000, JSON, id="escaped quotes"),
        pytest.param(b'["' + b'","' * 100_000, JSON, id="tiny strings"),
        pytest.param(b"--xYz\r\n\r\n" * 30_000, FORM, id="tiny parts"),
        pytest.param(b"--xYz" + b"\r\n" * 150_000, FORM, id="endless headers"),
    ],
)
def test_no_body_takes_more_than_a_few_steps_a_byte(body, content_type):
    def scan():
        scanned(body, content_type=content_type, sizes=itertools.repeat(1024))

    assert num_steps(scan) < 3 * len(body)


def test_the_question_of_a_response_is_no_url():
    body = as_json({"input": "https://a.example/b.mp3"})
    scan = audio_length.scan_for(JSON, len(body), route="/v1/responses")
    scan.feed(body)
    assert audio_length.measure(scan, unread_bytes=0) == audio_length.NO_AUDIO
    assert measured(body) == audio_length.ASSUMED
