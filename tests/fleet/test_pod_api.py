"""A real pod over a real socket: what it answers, and that the answers are the model's own."""

import base64
import io
import json

import httpx2
import numpy as np
import pytest
import torch
from clips import synthesise
from fakes import processes

from flamingo.audio import windows
from flamingo.wire import sse
from flamingo_pod import styles
from flamingo_pod.audio import decode
from flamingo_pod.model import checkpoint

FORMATS = ["notes.wav", "notes.flac", "notes.mp3", "notes.ogg", "notes.opus", "notes.m4a"]


@pytest.fixture(scope="module")
def tiny(model_cache):
    source = checkpoint.Source("flamingo-tiny", None, "float32", "cpu", model_cache)
    return checkpoint.load(source)


def generate(tiny, samples, text, num_tokens=64):
    """Return what transformers' own processor and generate say about the clip."""
    parts = [{"type": "audio"}, {"type": "text", "text": text}]
    rendered = tiny.processor.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
    )
    inputs = tiny.processor(text=[rendered], audio=[samples])
    with torch.inference_mode():
        ids = tiny.model.generate(
            **inputs, use_cache=True, do_sample=False, max_new_tokens=num_tokens
        )
    answer = ids[0, inputs.input_ids.shape[1] :]
    return tiny.processor.tokenizer.decode(answer, skip_special_tokens=True)


def samples_of(data):
    return decode.decode(data, decode.Bounds(90))


def post_file(http, route, data, **fields):
    return http.post(f"/v1/audio/{route}", files={"file": data}, data=fields)


def chat_about(data, **fields):
    audio = {"data": base64.b64encode(data).decode(), "format": "mp3"}
    content = [{"type": "text", "text": "What key?"}, {"type": "input_audio", "input_audio": audio}]
    return {"messages": [{"role": "user", "content": content}]} | fields


def events(response):
    return sse.EventDecoder().feed(response.content)


@pytest.mark.parametrize("name", FORMATS)
def test_a_caption_is_what_generate_says_of_the_decoded_clip(http, clips, tiny, name):
    answer = post_file(http, "captions", clips[name]).json()
    assert answer["caption"] == generate(tiny, samples_of(clips[name]), styles.PROMPTS["detailed"])
    assert answer["model"] == "flamingo-tiny"
    assert answer["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 64
    assert answer["usage"]["audio_seconds"] == pytest.approx(1.5, abs=0.08)


def test_a_chat_is_what_generate_says(http, clips, tiny):
    answer = http.post("/v1/chat/completions", json=chat_about(clips["notes.mp3"])).json()
    expected = generate(tiny, samples_of(clips["notes.mp3"]), "What key?")
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": expected}


@pytest.mark.parametrize("name", ["notes.flac", "drums.wav", "drums-5.1.flac"])
def test_an_embedding_is_what_the_encoder_says(http, clips, tiny, name):
    answer = post_file(http, "embeddings", clips[name], encoding_format="base64").json()
    features = tiny.processor.feature_extractor(
        [samples_of(clips[name])],
        sampling_rate=16_000,
        return_attention_mask=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        states = tiny.model.model.audio_tower(
            features.input_features, input_features_mask=features.attention_mask
        ).last_hidden_state[0]
    row = answer["data"][0]
    got = np.frombuffer(base64.b64decode(row["embedding"]), "<f4").reshape(row["shape"])
    # Encoded at its own length, not padded to 30 s: the same but for rounding.
    assert np.allclose(got, states[: len(got)].numpy(), atol=1e-5)
    assert len(got) == windows.num_tokens(len(samples_of(clips[name])))
    assert len(got) == answer["usage"]["num_frames"] == len(row["frame_timestamps"])


def test_all_ways_to_write_an_embedding_hold_the_same_numbers(http, clips):
    one = post_file(http, "embeddings", clips["notes.ogg"]).json()["data"][0]
    packed = post_file(http, "embeddings", clips["notes.ogg"], encoding_format="base64").json()
    npy = post_file(http, "embeddings", clips["notes.ogg"], encoding_format="npy")
    rows = np.load(io.BytesIO(npy.content))
    assert npy.headers["content-type"] == "application/x-npy"
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.array(one["embedding"], np.float32))
    assert rows.tobytes() == base64.b64decode(packed["data"][0]["embedding"])
    assert one["frame_timestamps"][:3] == [0.0, 0.04, 0.08]


def test_a_pooled_embedding_is_the_mean_of_the_frames(http, clips):
    frames = post_file(http, "embeddings", clips["notes.ogg"]).json()["data"][0]
    pooled = post_file(http, "embeddings", clips["notes.ogg"], pooling="mean").json()["data"][0]
    assert pooled["shape"] == [1, 64]
    assert pooled["frame_timestamps"] is None
    assert np.allclose(pooled["embedding"], np.mean(frames["embedding"], axis=0), atol=1e-5)


def test_the_projector_layer_is_another_embedding_of_the_same_frames(http, clips):
    encoder = post_file(http, "embeddings", clips["notes.ogg"]).json()["data"][0]
    projector = post_file(http, "embeddings", clips["notes.ogg"], layer="projector").json()
    assert projector["data"][0]["shape"] == encoder["shape"]
    assert projector["data"][0]["embedding"] != encoder["embedding"]


def test_an_analysis_is_the_caption_and_the_embedding(http, clips):
    analysis = post_file(http, "analyze", clips["notes.wav"], style="brief").json()
    caption = post_file(http, "captions", clips["notes.wav"], style="brief").json()
    embedding = post_file(http, "embeddings", clips["notes.wav"]).json()
    assert analysis["caption"] == caption["caption"]
    assert analysis["embedding"] == embedding["data"][0]


@pytest.mark.parametrize("route", ["captions", "analyze"])
def test_a_streamed_caption_adds_up_to_the_whole_one(http, clips, route):
    whole = post_file(http, route, clips["notes.mp3"]).json()
    streamed = post_file(http, route, clips["notes.mp3"], stream="true")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(streamed)
    chunks = [json.loads(chunk) for chunk in chunks]
    assert done == "[DONE]"
    assert "".join(chunk["delta"] for chunk in chunks) == whole["caption"]
    assert len(chunks) > 10, "it came in pieces"
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1].get("embedding") == whole.get("embedding")


def test_a_streamed_chat_has_openais_shape(http, clips):
    whole = http.post("/v1/chat/completions", json=chat_about(clips["notes.mp3"])).json()
    body = chat_about(clips["notes.mp3"], stream=True, stream_options={"include_usage": True})
    *chunks, done = events(http.post("/v1/chat/completions", json=body))
    chunks = [json.loads(chunk) for chunk in chunks]
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_every_way_to_send_the_audio_is_heard_alike(http, clips):
    data = base64.b64encode(clips["notes.mp3"]).decode()
    parts = {
        "input_audio": {"input_audio": {"data": data, "format": "mp3"}},
        "audio": {"audio": {"data": data}},
        "audio_url": {"audio_url": {"url": f"data:audio/mpeg;base64,{data}"}},
    }
    said = set()
    for kind, part in parts.items():
        content = [{"type": "text", "text": "What key?"}, {"type": kind} | part]
        body = {"messages": [{"role": "user", "content": content}]}
        answer = http.post("/v1/chat/completions", json=body).json()
        said.add(answer["choices"][0]["message"]["content"])
    request = json.dumps({"messages": [{"role": "user", "content": "What key?"}]})
    for fields in ({"request": request}, {"prompt": "What key?"}):
        files = {"file": clips["notes.mp3"]}
        answer = http.post("/v1/chat/completions", data=fields, files=files).json()
        said.add(answer["choices"][0]["message"]["content"])
    assert len(said) == 1


def test_a_clip_at_48_khz_is_heard_at_its_own_speed(http):
    # A model of 16 kHz that is fed 48,000 samples a second hears a clip of 30 s as 90 s.
    noise = np.random.default_rng(0).standard_normal(30 * 48_000).astype(np.float32) * 0.1
    data = synthesise.encoded(noise, 48_000, "OGG", "VORBIS")
    usage = post_file(http, "captions", data, max_tokens="1").json()["usage"]
    assert usage["prompt_tokens_details"]["audio_tokens"] == 750
    assert usage["audio_seconds"] == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("tail", [1, 160, 320])
def test_a_last_window_without_a_token_is_answered(http, tail):
    noise = np.random.default_rng(0).standard_normal(480_000 + tail).astype(np.float32) * 0.1
    data = synthesise.encoded(noise, 16_000, "FLAC")
    answer = post_file(http, "captions", data, max_tokens="4")
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens_details"]["audio_tokens"] == 750


def test_history_and_system_turns_count(http):
    def ask(*turns):
        messages = [{"role": role, "content": text} for role, text in turns]
        answer = http.post("/v1/chat/completions", json={"messages": messages}).json()
        return answer["choices"][0]["message"]["content"]

    said = {
        ask(("user", "Hi")),
        ask(("system", "Be brief"), ("user", "Hi")),
        ask(("user", "Hi"), ("assistant", "Hello"), ("user", "Hi")),
    }
    assert len(said) == 3
    assert ask(("system", "Be brief"), ("user", "Hi")) == ask(
        ("developer", "Be brief"), ("user", "Hi")
    )


def test_a_stop_string_ends_the_text_before_it(http, clips):
    whole = post_file(http, "captions", clips["notes.wav"]).json()["caption"]
    stop = whole[20:26]
    answer = post_file(http, "captions", clips["notes.wav"], stop=stop).json()
    assert answer["caption"] == whole[: whole.index(stop)]
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] < 64


def test_the_models_say_what_a_client_must_know(http):
    card = http.get("/v1/models").json()["data"][0]
    assert card == http.get("/v1/models/flamingo-tiny").json()
    assert card["random_weights"] is True
    assert card["max_audio_seconds"] == 90
    assert card["embedding_dimensions"] == {"encoder": 64, "projector": 64}


def test_health_stats_and_metrics(http, clips):
    post_file(http, "captions", clips["notes.wav"])
    assert http.get("/health").json() == http.get("/health/ready").json() == {"status": "ready"}
    assert http.get("/health/live").json() == {"status": "live"}
    first, second = http.get("/stats").json(), http.get("/stats").json()
    assert second["sequence"] == first["sequence"] + 1
    assert (first["state"], first["backlog_s"]) == ("ready", 0)
    assert first["window_s"] > 0
    assert first["token_s"] > 0
    metrics = http.get("/metrics").text
    assert 'flamingo_requests_total{code="200",route="/v1/audio/captions"}' in metrics
    assert "flamingo_ready 1.0" in metrics
    assert "_created" not in metrics


def test_an_answer_names_its_request_and_not_its_software(http):
    answer = http.get("/v1/models", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["server"] == "flamingo"
    made_up = http.get("/v1/models", headers={"x-request-id": "no spaces allowed"})
    assert made_up.headers["x-request-id"].startswith("req-")


def test_a_pod_that_is_told_to_stop_finishes_what_it_holds(model_cache, tmp_path, clips):
    log = tmp_path / "log"
    with processes.service("flamingo_pod", "--model", "flamingo-tiny", log=log) as running:
        processes.wait_until_ready(running)
        with httpx2.Client(base_url=running.address, timeout=60) as client:
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500}
            with client.stream(
                "POST", "/v1/chat/completions", json=body | {"stream": True}
            ) as answer:
                lines = answer.iter_lines()
                next(lines)
                running.process.terminate()
                late = httpx2.post(f"{running.address}/v1/chat/completions", json=body)
                assert late.status_code == 503
                assert late.json()["error"]["code"] == "draining"
                assert list(lines)[-2] == "data: [DONE]"


def test_a_model_that_is_not_there_ends_the_pod_with_its_own_status(tmp_path):
    log = tmp_path / "log"
    flags = ("--model", "/no/such/folder")
    with processes.service("flamingo_pod", *flags, log=log, ends_with=4) as running:
        running.process.wait(60)
    assert "is neither built in" in log.read_text()
