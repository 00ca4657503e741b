"""The web page in a real browser, against a scripted pod."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from fakes.balancing import load_report
from fakes.patience import PATIENCE_S
from fakes.pods import FakePod

from flamingo_common import errors
from flamingo_common.service import auth, http, keys
from flamingo_common.wire import report, responses, sse

ROWS, COLUMNS = 40, 12
EMBEDDING = np.arange(ROWS * COLUMNS, dtype="<f4").reshape(ROWS, COLUMNS) % 7
BANNER = "This server runs a built-in test model with random weights. Its output is meaningless."
SCRIPT = """<img src=x onerror="document.title='owned'">"""
PROMPT = """What's "this"; @once & $HOME?"""
PHONE = {"width": 390, "height": 800}


class EmbeddingPod(FakePod):
    """Encodes embeddings as base64, as requested."""

    def _body(self, path):
        text = base64.b64encode(EMBEDDING.tobytes()).decode()
        data = responses.EmbeddingData(
            embedding=text, shape=EMBEDDING.shape, layer="encoder", pooling="none"
        )
        usage = responses.EmbeddingUsage(
            prompt_tokens=ROWS, total_tokens=ROWS, audio_seconds=1.6, num_frames=ROWS
        )
        return responses.EmbeddingList(id="e", created=0, model="fake", data=[data], usage=usage)


class SlowPod(FakePod):
    """Streams half a sentence, and never the rest."""

    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(sse.encode_comment("beat"))
        await response.write(sse.encode_event(json.dumps(self._chunk(request.path, "Half a "))))
        try:
            await asyncio.Event().wait()
        finally:
            self.num_cancelled += 1


class BreakingPod(FakePod):
    """Sends an error event after a word."""

    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.headers["x-request-id"] = "req-inside"
        await response.prepare(request)
        body = errors.to_body(errors.UpstreamLost("the pod disconnected"))
        await response.write(sse.encode_event(json.dumps(self._chunk(request.path, "One "))))
        await response.write(sse.encode_event(json.dumps(body)))
        return response


def sent(pod, number=-1):
    """Return the JSON of a request that the pod received."""
    form = pod.received[number].body
    return json.loads(re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', form, re.DOTALL)[1])


def test_a_dropped_clip_is_drawn_and_captioned(visit, song):
    site = visit(FakePod(words=("A quiet ", "song, ", "slowly.")))
    site.drop(song)
    site.has("#clip-name", "song.wav")
    site.has("#time", "0:00 / 0:02")
    site.page.click("text=Brief")
    site.page.click("#generate")
    site.has("#caption", "A quiet song, slowly.")
    site.has("#caption-note", "3 tokens")
    assert sent(site.pod) == {"style": "brief", "stream": True}
    parts = re.findall(rb'form-data; name="(\w+)"', site.pod.received[0].body)
    assert parts == [b"request", b"file"]  # so that a pod can refuse before the upload ends
    assert site.console_errors == []


def test_custom_prompt_and_max_tokens_are_sent(visit, song):
    site = visit(FakePod())
    site.choose(song)
    site.page.click("#styles >> text=Custom")
    site.page.fill("#prompt", "Only the drums.")
    site.page.click("text=Options")
    site.page.fill("#max-tokens", "64")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert sent(site.pod) == {"prompt": "Only the drums.", "stream": True, "max_tokens": 64}


def test_text_is_shown_as_it_arrives_and_stop_cancels_the_request(visit, song):
    site = visit(SlowPod())
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption", "Half a ")
    site.has("#generate", "Stop")
    site.page.click("#generate")
    site.has("#caption-note", "Stopped.")
    site.has("#generate", "Generate")
    site.until(lambda: site.pod.num_cancelled == 1)
    site.shows("#caption-error", visible=False)


def test_each_question_is_sent_with_the_conversation(visit, song):
    site = visit(FakePod(words=("In A ", "major.")))
    site.choose(song)
    site.page.click("text=What are its key and tempo?")
    site.has("#log .exchange:last-child .generated", "In A major.")
    site.page.fill("#question", "And the mood?")
    site.page.press("#question", "Enter")
    site.has("#log .exchange:nth-child(2) .generated", "In A major.")
    assert sent(site.pod)["messages"] == [
        {"role": "user", "content": "What are its key and tempo?"},
        {"role": "assistant", "content": "In A major."},
        {"role": "user", "content": "And the mood?"},
    ]
    assert site.console_errors == []


def test_a_failed_question_can_be_retried_and_is_not_in_the_conversation(visit, song):
    site = visit(FakePod(fails_with=errors.Draining("this pod is draining")))
    site.choose(song)
    site.ask("Which key?")
    site.has("#chat-error", "This pod is draining.")
    assert site.page.input_value("#question") == "Which key?"
    site.pod.fails_with = None
    site.page.click("#ask")
    site.has("#log .generated", "a quiet song")
    assert [turn["role"] for turn in sent(site.pod)["messages"]] == ["user"]


def test_another_clip_starts_another_conversation(visit, song):
    site = visit(FakePod())
    site.choose(song)
    site.ask("Which key?")
    site.has("#log .generated", "a quiet song")
    site.choose(song)
    site.ask("Which tempo?")
    site.has("#log .generated", "a quiet song")
    assert sent(site.pod)["messages"] == [{"role": "user", "content": "Which tempo?"}]


def test_an_error_is_a_sentence_with_its_code_and_request_id(visit, song):
    site = visit(FakePod(fails_with=errors.Overloaded("the fleet is busy", retry_after_s=12)))
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption-error", "The fleet is busy. Try again in 12 s.")
    site.has("#caption-error", "overloaded · request req-")
    site.has("#generate", "Generate")


def test_an_error_event_keeps_the_text_before_it(visit, song):
    site = visit(BreakingPod())
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption-error", "The pod disconnected.")
    site.has("#caption-error", "upstream_lost · request req-inside")
    site.has("#caption", "One")


def test_an_interrupted_stream_is_an_error(visit, song):
    site = visit(FakePod(aborts_after_words=1))
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption-error", "The connection was lost before the response was complete.")


def test_markup_from_the_model_stays_text(visit, song):
    site = visit(FakePod(words=(SCRIPT,)))
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption", SCRIPT)
    site.ask(SCRIPT)
    site.has("#log .generated", SCRIPT)
    assert site.page.locator("main img").count() == 0
    assert site.page.title() == "Flamingo Fleet"
    assert site.console_errors == []


def test_the_browser_refuses_markup_even_from_the_page_itself(visit):
    site = visit(FakePod())
    refusal = site.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } }"
    )
    assert refusal == "TypeError"


@pytest.mark.parametrize("kind", [EmbeddingPod, FakePod], ids=["base64", "rows of numbers"])
def test_an_embedding_is_shown_as_a_heat_map_with_its_shape(visit, song, kind):
    site = visit(kind())
    site.choose(song)
    site.page.click("#embed")
    rows, columns = (ROWS, COLUMNS) if kind is EmbeddingPod else (2, 2)
    site.has("#shape", f"{rows} frames \N{MULTIPLICATION SIGN} {columns} dimensions")
    size = site.page.evaluate("() => [heatmap.width, heatmap.height]")
    assert size == [rows, columns]
    assert sent(site.pod) == {"layer": "encoder", "encoding_format": "base64"}
    assert site.console_errors == []


def test_the_downloaded_embedding_is_what_numpy_reads(visit, song):
    site = visit(EmbeddingPod())
    site.choose(song)
    site.page.click("#embed")
    with site.page.expect_download() as download:
        site.page.click("#download")
    assert download.value.suggested_filename == "song.npy"
    np.testing.assert_array_equal(np.load(download.value.path()), EMBEDDING)


CLIPBOARD = ["clipboard-read", "clipboard-write"]


def run(command, song):
    """Run a command in the folder of the song; return its output."""
    return subprocess.run(
        command,
        cwd=Path(song).parent,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    ).stdout


def test_the_last_request_can_be_copied_as_a_program_that_runs(visit, song):
    site = visit(FakePod(), permissions=CLIPBOARD)
    site.choose(song)
    site.page.click("#styles >> text=Custom")
    site.page.fill("#prompt", PROMPT)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert run([sys.executable, "-c", site.copied("#caption-python")], song) == "a quiet song\n"
    assert sent(site.pod)["prompt"] == PROMPT


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_the_last_request_can_be_copied_as_a_command_that_runs(visit, song):
    site = visit(FakePod(), permissions=CLIPBOARD)
    site.choose(song)
    site.page.click("#styles >> text=Custom")
    site.page.fill("#prompt", PROMPT)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert run(["sh", "-c", site.copied("#caption-curl")], song).endswith("data: [DONE]\n\n")
    assert sent(site.pod) == {"prompt": PROMPT, "stream": True}
    assert Path(song).read_bytes() in site.pod.received[-1].body


def test_a_conversation_can_be_copied_whole(visit, song):
    site = visit(FakePod(), permissions=CLIPBOARD)
    site.choose(song)
    site.ask("Which key?")
    site.has("#log .generated", "a quiet song")
    assert 'client.ask("song.wav", "Which key?").text' in site.copied("#chat-python")
    site.ask("Sure?")
    site.has("#log .exchange:nth-child(2) .generated", "a quiet song")
    site.has("#chat-python", "Copy as Python")
    asked = sent(site.pod)["messages"]
    assert run([sys.executable, "-c", site.copied("#chat-python")], song) == "a quiet song\n"
    assert sent(site.pod)["messages"] == asked


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH")
def test_each_request_can_be_copied_as_a_javascript_program_that_runs(visit, song):
    site = visit(FakePod(), permissions=CLIPBOARD)
    site.choose(song)
    site.page.click("#styles >> text=Custom")
    site.page.fill("#prompt", PROMPT)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    program = site.copied("#caption-javascript")
    assert run(["node", "--input-type=module", "-e", program], song) == "a quiet song\n"
    assert sent(site.pod) == {"prompt": PROMPT}
    assert Path(song).read_bytes() in site.pod.received[-1].body
    site.ask("Which key?")
    site.has("#log .generated[aria-busy=false]", "a quiet song")
    program = site.copied("#chat-javascript")
    assert run(["node", "--input-type=module", "-e", program], song) == "a quiet song\n"
    site.page.click("#embed")
    site.shows("#heatmap-figure")
    program = site.copied("#embedding-javascript")
    assert run(["node", "--input-type=module", "-e", program], song) == "[ 2, 2 ]\n"


@pytest.mark.parametrize("panel", ["caption", "chat"])
def test_a_request_about_a_link_can_be_copied_in_every_form(visit, song, panel):
    async def it(_):
        return web.FileResponse(song)

    site = visit(FakePod(), routes=[web.get("/it's.wav", it)], permissions=CLIPBOARD)
    site.page.fill("#link", site.page.url.replace("/ui/", "/it's.wav"))
    site.page.press("#link", "Enter")
    site.page.click("#generate") if panel == "caption" else site.ask("Which key?")
    output = "#caption" if panel == "caption" else "#log .generated"
    site.has(f"{output}[aria-busy=false]", "a quiet song")
    by_page = json.loads(site.pod.received[-1].body)
    assert "/it's.wav" in json.dumps(by_page)
    program = site.copied(f"#{panel}-python")
    assert run([sys.executable, "-c", program], song) == "a quiet song\n"
    assert run(["sh", "-c", site.copied(f"#{panel}-curl")], song).endswith("data: [DONE]\n\n")
    assert json.loads(site.pod.received[-1].body) == by_page
    program = site.copied(f"#{panel}-javascript")
    assert run(["node", "--input-type=module", "-e", program], song) == "a quiet song\n"
    assert json.loads(site.pod.received[-1].body).items() <= by_page.items()


def test_an_embedding_can_be_copied_as_a_program_that_runs(visit, song):
    site = visit(EmbeddingPod(), permissions=CLIPBOARD)
    site.choose(song)
    site.page.click("label:has-text('Projector')")
    site.page.click("#embed")
    site.shows("#heatmap-figure")
    program = site.copied("#embedding-python")
    assert run([sys.executable, "-c", program], song) == f"({ROWS}, {COLUMNS})\n"
    assert sent(site.pod)["layer"] == "projector"


def test_the_clip_plays_and_the_keyboard_seeks(visit, song):
    site = visit(FakePod())
    site.choose(song)
    site.has("#time", "/ 0:02")
    site.page.press("#waveform", "End")
    site.has("#time", "0:02 / 0:02")
    site.page.press("#waveform", "Home")
    site.has("#time", "0:00 / 0:02")
    site.page.click("#play")
    site.until(lambda: site.page.evaluate("() => audio.currentTime > 0"))
    assert site.console_errors == []


def test_a_file_the_browser_cannot_decode_is_still_sent(visit, tmp_path):
    odd = tmp_path / "odd.flac"
    odd.write_bytes(b"no audio at all")
    site = visit(FakePod())
    site.choose(str(odd))
    site.has("#waveform-note", "The server may still support it.")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")


def test_the_model_and_its_limits_are_shown(visit):
    site = visit(FakePod(model="tests/fake"))
    site.has("#model", "tests/fake")
    site.has("#limits", "audio up to 20 min · context 32,768 tokens")
    site.has("#banner", BANNER)
    site.shows("#fleet", visible=False)
    site.shows("#example", visible=False)
    assert site.console_errors == []


def test_the_example_clip_can_be_used(visit, package, song):
    (package / "clips" / "waltz.mp3").write_bytes(Path(song).read_bytes())
    site = visit(FakePod())
    site.page.click("#example")
    site.has("#clip-name", "waltz.mp3")
    site.has("#time", "0:00 / 0:02")
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert Path(song).read_bytes() in site.pod.received[0].body
    assert site.console_errors == []


def endpoint(number, *, ready, **more):
    address = f"http://10.0.0.{number}:8000"
    fields = {"backlog_s": 0, "num_open": 0, "load": None} | more
    return report.EndpointReport(address=address, ready=ready, **fields)


def visit_router(visit, **fields):
    async def fleet(_):
        return http.json_response(report.FleetReport(**fields))

    return visit(FakePod(), routes=[web.get("/fleet", fleet)])


def test_a_router_that_has_just_started_shows_what_it_has_counted(visit):
    load = load_report(caches={"embeddings": report.CacheReport(queries=8, hits=6)})
    pods = [endpoint(number, ready=True, load=load) for number in (1, 2)]
    recent = report.ArrivalReport(window_s=60, covered_s=5, num=2.4, audio_s=30, work_s=1)
    site = visit_router(visit, endpoints=pods, arrivals=[recent])
    site.has(
        "#fleet-summary",
        "2 of 2 pods ready · 12 requests and 2.5 min of audio in 5 s · 75% of windows cached",
    )


def test_a_router_shows_its_fleet(visit):
    busy = endpoint(1, ready=True, backlog_s=15, num_open=2, speed=1.62, num_clips=3)
    ejected = endpoint(2, ready=False, reason="ejected", ejected=True)
    queue = report.QueueReport(num=4, audio_s=62, oldest_s=3.14)
    recent = report.ArrivalReport(window_s=60, num=2.4, audio_s=30, work_s=1)
    site = visit_router(visit, endpoints=[ejected, busy], queue=queue, arrivals=[recent])
    site.has(
        "#fleet-summary",
        "1 of 2 pods ready · 4 queued (62 s of audio, oldest 3.1 s)"
        " · 144 requests and 30 min of audio per minute",
    )
    site.has(
        "#endpoints li:first-child", "15 s of work, 2 in flight, slowdown 1.6x, 3 clips cached"
    )
    site.has("#endpoints li:last-child .state", "ejected")
    assert "50%" in site.page.get_attribute("#endpoints .backlog div >> nth=0", "style")
    assert site.console_errors == []


def test_a_router_without_a_ready_pod_shows_the_requests_it_holds(visit):
    queue = report.QueueReport(num=4, audio_s=62, oldest_s=3.14)
    loading = endpoint(1, ready=False, reason="loading")
    site = visit_router(visit, endpoints=[loading], queue=queue, cold=True, holding_s=12)
    site.has(
        "#fleet-summary",
        "0 of 1 pod ready · 4 held until a pod is ready (62 s of audio, oldest 12 s)",
    )
    site.has("#endpoints .state", "loading")


def test_a_router_without_pods(visit):
    site = visit_router(visit, endpoints=[])
    site.has("#fleet-summary", "no pods registered")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_either_color_scheme_and_phones_scroll_vertically(visit, song, scheme):
    site = visit(FakePod(), color_scheme=scheme, viewport=PHONE)
    site.choose(song)
    colors = site.page.evaluate(
        "() => ['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name])"
    )
    ink, paper = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors)
    assert (ink > paper) is (scheme == "dark")
    assert abs(ink - paper) > 3 * 128
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert site.console_errors == []


class KeyedPod(FakePod):
    """Requires an API key."""

    key_file: Path

    def app(self):
        app = super().app()
        auth.add_to(app, self.key_file)
        return app


@pytest.fixture
def keyed(tmp_path):
    pod = KeyedPod()
    pod.key_file = tmp_path / "keys"
    entries = [{"name": "me", "sha256": keys.digest_of("fk-right")}]
    pod.key_file.write_text(json.dumps({"keys": entries}))
    return pod


def test_the_page_prompts_for_a_key_and_keeps_it_in_memory_only(visit, song, keyed):
    site = visit(keyed)
    site.shows("#key-dialog")
    site.page.fill("#key", "fk-wrong")
    site.page.press("#key", "Enter")
    site.shows("#key-rejected")
    site.page.fill("#key", "fk-right")
    site.page.click("#key-form button")
    site.has("#model", "fake")
    site.choose(song)
    site.page.click("#generate")
    site.has("#caption", "a quiet song")
    assert site.pod.received[-1].headers["Authorization"] == "Bearer fk-right"
    site.has("#history-list", "song.wav")
    stored = "[{...localStorage}, {...sessionStorage}, document.cookie, location.href]"
    assert "fk-" not in json.dumps(site.page.evaluate(f"() => {stored}"))
    assert "fk-right" not in site.page.content()
    assert site.page.input_value("#key") == ""
    site.page.reload()
    site.shows("#key-dialog")


def test_a_closed_key_dialog_shows_the_error_and_does_not_reopen(visit, keyed):
    site = visit(keyed)
    site.shows("#key-dialog")
    site.page.keyboard.press("Escape")
    site.has("#server-error", "This server requires an API key.")
    site.shows("#key-dialog", visible=False)
