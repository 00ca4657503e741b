"""A real pod over a real socket: its responses, which equal the model's own output."""

import base64
import io
import json
import re
import time

import httpx2
import numpy as np
import pytest
import torch
from clips import synthesise
from fakes import processes
from fakes.patience import PATIENCE_S

from flamingo_common.audio import windows
from flamingo_common.wire import sse
from flamingo_pod.audio.sound_file import decode_bytes
from flamingo_pod.model import checkpoint
from flamingo_pod.text import caption_styles

FORMATS = ["notes.wav", "notes.flac", "notes.mp3", "notes.ogg", "notes.opus", "notes.m4a"]


@pytest.fixture(scope="module")
def tiny(model_cache):
    source = checkpoint.CheckpointSource("flamingo-tiny", None, "float32", "cpu", model_cache)
    return checkpoint.load(source)


def generate(tiny, samples, text, num_tokens=64, **how):
    """Return what transformers' own processor and generate return for the clip."""
    _, answer = token_ids(tiny, samples, text, max_new_tokens=num_tokens, **how)
    return tiny.processor.tokenizer.decode(answer, skip_special_tokens=True)


def token_ids(tiny, samples, text, **how):
    """Return the processor's inputs, and the ids that generate adds to them."""
    parts = [{"type": "audio"}, {"type": "text", "text": text}]
    rendered = tiny.processor.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
    )
    inputs = tiny.processor(text=[rendered], audio=[samples])
    with torch.inference_mode():
        ids = tiny.model.generate(**inputs, use_cache=True, do_sample=False, **how)
    return inputs, ids[0, inputs.input_ids.shape[1] :]


def samples_of(data):
    return decode_bytes(data, 90)


def post_file(http, route, data, **fields):
    return http.post(f"/v1/audio/{route}", files={"file": data}, data=fields)


def chat_about(data, **fields):
    audio = {"data": base64.b64encode(data).decode(), "format": "mp3"}
    content = [{"type": "text", "text": "What key?"}, {"type": "input_audio", "input_audio": audio}]
    return {"messages": [{"role": "user", "content": content}]} | fields


def events(response):
    return sse.EventDecoder().feed(response.content)


@pytest.mark.parametrize("name", FORMATS)
def test_a_caption_equals_the_output_of_generate(http, clips, tiny, name):
    answer = post_file(http, "captions", clips[name]).json()
    assert answer["caption"] == generate(
        tiny, samples_of(clips[name]), caption_styles.PROMPTS["detailed"]
    )
    assert answer["model"] == "flamingo-tiny"
    assert answer["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 64
    assert answer["usage"]["audio_seconds"] == pytest.approx(1.5, abs=0.08)


def test_a_chat_equals_the_output_of_generate(http, clips, tiny):
    answer = http.post("/v1/chat/completions", json=chat_about(clips["notes.mp3"])).json()
    expected = generate(tiny, samples_of(clips["notes.mp3"]), "What key?")
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": expected}


@pytest.mark.parametrize("name", ["notes.flac", "drums.wav", "drums-5.1.flac"])
def test_an_embedding_equals_the_encoders_output(http, clips, tiny, name):
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


def test_all_encodings_of_an_embedding_have_the_same_numbers(http, clips):
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


def test_every_way_to_send_the_audio_gives_the_same_caption(http, clips):
    data = base64.b64encode(clips["notes.mp3"]).decode()
    parts = {
        "input_audio": {"input_audio": {"data": data, "format": "mp3"}},
        "audio": {"audio": {"data": data}},
        "audio_url": {"audio_url": {"url": f"data:audio/mpeg;base64,{data}"}},
    }
    answers = set()
    for kind, part in parts.items():
        content = [{"type": "text", "text": "What key?"}, {"type": kind} | part]
        body = {"messages": [{"role": "user", "content": content}]}
        answer = http.post("/v1/chat/completions", json=body).json()
        answers.add(answer["choices"][0]["message"]["content"])
    request = json.dumps({"messages": [{"role": "user", "content": "What key?"}]})
    for fields in ({"request": request}, {"prompt": "What key?"}):
        files = {"file": clips["notes.mp3"]}
        answer = http.post("/v1/chat/completions", data=fields, files=files).json()
        answers.add(answer["choices"][0]["message"]["content"])
    assert len(answers) == 1


def test_a_clip_at_48_khz_is_resampled_to_its_own_duration(http):
    # A model of 16 kHz that is fed 48,000 samples a second hears a clip of 30 s as 90 s.
    noise = np.random.default_rng(0).standard_normal(30 * 48_000).astype(np.float32) * 0.1
    data = synthesise.encoded(noise, 48_000, "OGG", "VORBIS")
    usage = post_file(http, "captions", data, max_tokens="1").json()["usage"]
    assert usage["prompt_tokens_details"]["audio_tokens"] == 750
    assert usage["audio_seconds"] == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("tail", [1, 160, 320])
def test_a_last_window_without_a_token_is_accepted(http, tail):
    noise = np.random.default_rng(0).standard_normal(480_000 + tail).astype(np.float32) * 0.1
    data = synthesise.encoded(noise, 16_000, "FLAC")
    answer = post_file(http, "captions", data, max_tokens="4")
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens_details"]["audio_tokens"] == 750


def test_history_and_system_messages_change_the_answer(http):
    def ask(*turns):
        messages = [{"role": role, "content": text} for role, text in turns]
        answer = http.post("/v1/chat/completions", json={"messages": messages}).json()
        return answer["choices"][0]["message"]["content"]

    answers = {
        ask(("user", "Hi")),
        ask(("system", "Be brief"), ("user", "Hi")),
        ask(("user", "Hi"), ("assistant", "Hello"), ("user", "Hi")),
    }
    assert len(answers) == 3
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


# How tokens are chosen.


def chat(http, data, **fields):
    """Return the choices of a chat about a clip, and its usage."""
    answer = http.post("/v1/chat/completions", json=chat_about(data, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"], answer.json()["usage"]


def streamed_chat(http, data, **fields):
    """Return the one choice of each chunk."""
    response = http.post("/v1/chat/completions", json=chat_about(data, stream=True, **fields))
    *chunks, done = events(response)
    assert done == "[DONE]"
    return [json.loads(chunk)["choices"][0] for chunk in chunks]


def words(choices):
    return [choice["message"]["content"] for choice in choices]


def test_a_repetition_penalty_is_that_of_generate(http, clips, tiny):
    data = clips["notes.mp3"]
    choices, _ = chat(http, data, repetition_penalty=1.7, max_tokens=32)
    expected = generate(tiny, samples_of(data), "What key?", 32, repetition_penalty=1.7)
    assert words(choices) == [expected] != words(chat(http, data, max_tokens=32)[0])


EXTREMES = {
    "repetition_penalty": (1e-300, 2),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "temperature": (1e-300, 2),
    "top_p": (1e-300, 1),
    "min_p": (0, 1),
    "top_k": (1, 1_000_000),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_every_allowed_value_of_a_parameter_is_accepted(http, clips, name):
    for value in EXTREMES[name]:
        fields = {"temperature": 1.0} | {name: value}
        _, usage = chat(http, clips["notes.mp3"], **fields, seed=2**63 - 1, n=2, max_tokens=4)
        assert usage["completion_tokens"] > 0


@pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty"])
def test_a_penalty_increases_variety(http, clips, penalty):
    def variety(**fields):
        choices, _ = chat(http, clips["notes.mp3"], **fields, max_tokens=60, logprobs=True)
        return len({entry["token"] for entry in choices[0]["logprobs"]["content"]})

    assert variety(**{penalty: -2}) < variety() < variety(**{penalty: 2})


def test_a_bias_forces_a_token_or_forbids_it(http, clips, tiny):
    forced, _ = chat(http, clips["notes.mp3"], logit_bias={"300": 100}, max_tokens=3)
    assert words(forced) == [tiny.processor.tokenizer.decode([300] * 3)]
    _, ids = token_ids(tiny, samples_of(clips["notes.mp3"]), "What key?", max_new_tokens=1)
    first = tiny.processor.tokenizer.decode(ids)
    forbidden, _ = chat(http, clips["notes.mp3"], logit_bias={str(int(ids[0])): -100}, max_tokens=3)
    assert not words(forbidden)[0].startswith(first)


@pytest.mark.parametrize("route", ["captions", "analyze"])
def test_a_caption_accepts_a_chats_parameters(http, clips, route):
    fields = {"repetition_penalty": "1.7", "frequency_penalty": "0.5", "presence_penalty": "0.5"}
    plain = post_file(http, route, clips["notes.mp3"], max_tokens="24").json()
    other = post_file(http, route, clips["notes.mp3"], max_tokens="24", **fields).json()
    assert other["caption"] != plain["caption"]


def test_max_completion_tokens_overrides_max_tokens(http, clips):
    _, usage = chat(http, clips["notes.mp3"], max_tokens=9, max_completion_tokens=4)
    assert usage["completion_tokens"] == 4


def test_a_forced_end_token_ends_the_answer(http, clips, tiny):
    eos = {str(token_id): 100 for token_id in tiny.limits.eos_token_ids}
    choices, usage = chat(http, clips["notes.mp3"], logit_bias=eos, logprobs=True)
    assert (words(choices), choices[0]["finish_reason"]) == ([""], "stop")
    assert choices[0]["logprobs"]["content"] == []
    assert usage["completion_tokens"] == 0


# How likely they were.


def test_logprobs_are_the_log_softmax_of_the_model_itself(http, clips, tiny):
    data, tokenizer = clips["notes.mp3"], tiny.processor.tokenizer
    inputs, ids = token_ids(tiny, samples_of(data), "What key?", max_new_tokens=8)
    inputs["input_ids"] = torch.cat([inputs.input_ids, ids[None]], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs.input_ids)
    with torch.inference_mode():
        table = tiny.model(**inputs).logits[0, -9:-1].float().log_softmax(-1)
    choices, _ = chat(http, data, max_tokens=8, logprobs=True, top_logprobs=5)
    entries = choices[0]["logprobs"]["content"]
    assert [entry["token"] for entry in entries] == [tokenizer.decode([each]) for each in ids]
    for entry, token_id, row in zip(entries, ids, table, strict=True):
        assert entry["logprob"] == pytest.approx(row[token_id].item(), abs=1e-3)
        top, best = row.topk(5)
        assert [each["logprob"] for each in entry["top_logprobs"]] == pytest.approx(
            top.tolist(), abs=1e-3
        )
        assert [each["token"] for each in entry["top_logprobs"]] == [
            tokenizer.decode([each]) for each in best
        ]


def assert_alike(entries, others):
    """The tokens are equal; the rest of a batch may change the last digits of a logprob."""
    assert [entry["bytes"] for entry in entries] == [entry["bytes"] for entry in others]
    logprobs = [entry["logprob"] for entry in others]
    assert [entry["logprob"] for entry in entries] == pytest.approx(logprobs, abs=1e-4)


def test_logprobs_do_not_depend_on_sampling_parameters(http, clips):
    edited = {"logit_bias": {"300": 100}, "temperature": 1.5, "seed": 1, "max_tokens": 1}
    data = clips["notes.mp3"]
    forced, _ = chat(http, data, **edited, logprobs=True, top_logprobs=3)
    plain, _ = chat(http, data, max_tokens=1, logprobs=True, top_logprobs=3)
    (one,), (other,) = (choices[0]["logprobs"]["content"] for choices in (forced, plain))
    assert_alike(one["top_logprobs"], other["top_logprobs"])
    assert one["logprob"] < other["logprob"]
    assert one["token"] not in [each["token"] for each in one["top_logprobs"]]


def test_the_tokens_bytes_are_the_answers_bytes(http, clips):
    fields = {"temperature": 2, "seed": 3, "logit_bias": {str(n): 100 for n in range(100, 260)}}
    choices, _ = chat(http, clips["notes.mp3"], **fields, max_tokens=40, logprobs=True)
    joined = b"".join(bytes(entry["bytes"]) for entry in choices[0]["logprobs"]["content"])
    text = re.sub("�+", "�", joined.decode(errors="replace"))
    assert text == re.sub("�+", "�", words(choices)[0])
    assert "�" in words(choices)[0], "there were bytes that are no character"


@pytest.mark.parametrize("stop", [None, "a"])
def test_streamed_logprobs_add_up_to_the_whole(http, clips, stop):
    fields = {"max_tokens": 20, "logprobs": True, "top_logprobs": 1, "stop": stop}
    choices, usage = chat(http, clips["notes.mp3"], **fields)
    chunks = streamed_chat(http, clips["notes.mp3"], **fields)
    entries = [
        entry for chunk in chunks if chunk["logprobs"] for entry in chunk["logprobs"]["content"]
    ]
    assert_alike(entries, choices[0]["logprobs"]["content"])
    assert "".join(chunk["delta"].get("content", "") for chunk in chunks) == words(choices)[0]
    assert len(entries) == usage["completion_tokens"], "with the tokens of the stop string"
    assert chunks[-1]["finish_reason"] == choices[0]["finish_reason"]
    assert (choices[0]["finish_reason"] == "stop") is (stop is not None)
    assert ("a" in words(choices)[0]) is (stop is None)


def test_logprobs_are_left_out_unless_requested(http, clips):
    assert chat(http, clips["notes.mp3"], max_tokens=2)[0][0]["logprobs"] is None


# What shape the answer has.

SONG = {
    "type": "object",
    "properties": {
        "genre": {"enum": ["rock", "pop"]},
        "tempo": {"type": "integer", "minimum": 40, "maximum": 220},
        "has_vocals": {"type": "boolean"},
    },
    "required": ["genre", "tempo", "has_vocals"],
    "additionalProperties": False,
}
AS_SONG = {"type": "json_schema", "json_schema": {"name": "song", "schema": SONG, "strict": True}}


def is_song(text):
    song = json.loads(text)
    return (
        list(song) == SONG["required"]
        and song["genre"] in {"rock", "pop"}
        and 40 <= song["tempo"] <= 220
        and isinstance(song["has_vocals"], bool)
    )


@pytest.mark.parametrize("how", [{"temperature": 0}, {"temperature": 1.5, "seed": 4, "n": 3}])
def test_an_answer_matches_its_schema(http, clips, no_spaces, how):
    fields = how | {"response_format": AS_SONG, "logit_bias": no_spaces}
    choices, _ = chat(http, clips["notes.mp3"], **fields)
    assert all(is_song(text) for text in words(choices))
    assert {choice["finish_reason"] for choice in choices} == {"stop"}


def test_a_streamed_answer_matches_its_schema(http, clips, no_spaces):
    fields = {"response_format": AS_SONG, "logit_bias": no_spaces}
    chunks = streamed_chat(http, clips["notes.mp3"], **fields)
    assert is_song("".join(chunk["delta"].get("content", "") for chunk in chunks))
    assert chunks[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("route", ["captions", "analyze"])
def test_a_caption_may_have_a_schema(http, clips, no_spaces, route):
    request = json.dumps({"response_format": AS_SONG, "logit_bias": no_spaces})
    answer = post_file(http, route, clips["notes.mp3"], request=request).json()
    assert is_song(answer["caption"])
    assert answer["finish_reason"] == "stop"


def test_json_object_allows_any_object(http, clips):
    choices, _ = chat(http, clips["notes.mp3"], response_format={"type": "json_object"})
    assert isinstance(json.loads(words(choices)[0]), dict)
    assert choices[0]["finish_reason"] == "stop"


def test_json_that_is_cut_off_has_the_finish_reason_length(http, clips):
    choices, _ = chat(http, clips["notes.mp3"], response_format=AS_SONG, max_tokens=3)
    assert choices[0]["finish_reason"] == "length"


def test_the_format_text_does_not_constrain_the_answer(http, clips):
    plain, _ = chat(http, clips["notes.mp3"], max_tokens=5)
    assert words(chat(http, clips["notes.mp3"], max_tokens=5, response_format={"type": "text"})[0])
    assert words(plain)


# Several answers.


def test_each_choice_equals_a_request_with_its_own_seed(http, clips):
    fields = {"temperature": 1.0, "max_tokens": 12}
    several, usage = chat(http, clips["notes.mp3"], n=3, seed=20, **fields)
    alone = [chat(http, clips["notes.mp3"], seed=20 + number, **fields) for number in range(3)]
    assert words(several) == [words(choices)[0] for choices, _ in alone]
    assert len(set(words(several))) == 3
    assert [choice["index"] for choice in several] == [0, 1, 2]
    assert usage["prompt_tokens"] == alone[0][1]["prompt_tokens"]
    assert usage["completion_tokens"] == 36
    assert usage["total_tokens"] == usage["prompt_tokens"] + 36


def test_choices_without_a_seed_differ(http, clips):
    choices, _ = chat(http, clips["notes.mp3"], n=4, temperature=1.5, max_tokens=8)
    assert len(set(words(choices))) == 4


def test_choices_are_streamed_interleaved(http, clips):
    fields = {"n": 3, "temperature": 1.0, "seed": 20, "max_tokens": 12}
    whole, _ = chat(http, clips["notes.mp3"], **fields)
    chunks = streamed_chat(http, clips["notes.mp3"], **fields)
    for number, choice in enumerate(whole):
        own = [chunk for chunk in chunks if chunk["index"] == number]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        text = "".join(chunk["delta"].get("content", "") for chunk in own)
        assert text == choice["message"]["content"]
        assert [chunk["finish_reason"] for chunk in own if chunk["finish_reason"]] == ["length"]
    order = [chunk["index"] for chunk in chunks]
    assert order != sorted(order), "they take turns"


def test_a_choice_that_stops_does_not_stop_the_others(http, clips):
    fields = {"n": 3, "temperature": 1.0, "seed": 20, "max_tokens": 12}
    whole, _ = chat(http, clips["notes.mp3"], **fields)
    stop = words(whole)[0][3:8]
    stopped, usage = chat(http, clips["notes.mp3"], **fields, stop=stop)
    assert words(stopped) == [text.partition(stop)[0] for text in words(whole)]
    assert [choice["finish_reason"] for choice in stopped] == ["stop", "length", "length"]
    assert 24 < usage["completion_tokens"] < 36


def counted(http, name):
    return float(
        re.search(rf"^{re.escape(name)} (.*)$", http.get("/metrics").text, re.MULTILINE)[1]
    )


def test_a_clip_counts_once_for_any_number_of_choices(http):
    noise = np.random.default_rng(77).standard_normal(16_000 * 20).astype(np.float32) * 0.1
    data = synthesise.encoded(noise, 16_000, "OGG", "VORBIS")
    before = counted(http, 'flamingo_tokens_total{type="audio"}')
    _, usage = chat(http, data, n=4, max_tokens=3)
    assert counted(http, 'flamingo_tokens_total{type="audio"}') - before == 500
    assert usage["prompt_tokens_details"]["audio_tokens"] == 500
    details = usage["prompt_tokens_details"]
    assert details["cached_tokens"] < details["text_tokens"], "the first request about this clip"
    assert usage["completion_tokens"] == 12


def test_a_client_that_disconnects_ends_all_its_choices(http):
    # Tens of thousands of tokens: a minute and more, if they went on.
    body = {"messages": [{"role": "user", "content": "Hi"}], "n": 4, "max_tokens": 30_000}
    with http.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as answer:
        lines = answer.iter_lines()
        for _ in range(20):
            next(lines)
        stats = http.get("/stats").json()
        assert stats["num_running"] + stats["num_waiting"] == 4
    deadline_s = time.monotonic() + PATIENCE_S
    while http.get("/stats").json()["backlog_s"] > 0:
        assert time.monotonic() < deadline_s
    _, usage = chat_text(http, max_tokens=2)
    assert usage["completion_tokens"] == 2


def chat_text(http, **fields):
    body = {"messages": [{"role": "user", "content": "Hi"}]} | fields
    answer = http.post("/v1/chat/completions", json=body).json()
    return answer["choices"], answer["usage"]


def test_the_model_card_has_the_limits(http):
    card = http.get("/v1/models").json()["data"][0]
    assert card["max_model_len"] == card["context_tokens"]
    assert card == http.get("/v1/models/flamingo-tiny").json()
    assert card["random_weights"] is True
    assert card["reasoning"] is False
    assert card["max_audio_seconds"] == 90
    assert card["embedding_dimensions"] == {"encoder": 64, "projector": 64}


def test_health_stats_and_metrics(http, clips):
    post_file(http, "captions", clips["notes.wav"])
    assert (
        http.get("/health").json()
        == http.get("/health/ready").json()
        == {
            "status": "ready",
            "model": "flamingo-tiny",
        }
    )
    assert http.get("/health/live").json() == {"status": "live"}
    first, second = http.get("/stats").json(), http.get("/stats").json()
    assert second["sequence"] == first["sequence"] + 1
    assert (first["state"], first["backlog_s"]) == ("ready", 0)
    assert first["window_s"] > 0
    assert first["token_s"] > 0
    metrics = http.get("/metrics").text
    assert 'flamingo_requests_total{code="200",route="/v1/audio/captions"}' in metrics
    assert "flamingo_ready 1.0" in metrics
    for stage in ("mel", "encode", "prefill", "decode", "sample"):
        assert f'flamingo_engine_seconds_total{{stage="{stage}"}}' in metrics
    assert "flamingo_audio_decode_seconds_count" in metrics
    assert "flamingo_detokenize_seconds_total" in metrics
    assert "_created" not in metrics


def test_a_response_has_its_request_id_and_no_server_header(http):
    answer = http.get("/v1/models", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["server"] == "flamingo"
    made_up = http.get("/v1/models", headers={"x-request-id": "no spaces allowed"})
    assert made_up.headers["x-request-id"].startswith("req-")


def test_a_pod_that_shuts_down_finishes_its_requests(model_cache, tmp_path, clips):
    log = tmp_path / "log"
    flags = ("--model", "flamingo-tiny", "--grace-period-s", "120")  # the machine may be busy
    with processes.service("flamingo_pod", *flags, log=log) as running:
        processes.wait_until_ready(running)
        with httpx2.Client(base_url=running.address, timeout=60) as client:
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500}
            with client.stream(
                "POST", "/v1/chat/completions", json=body | {"stream": True}
            ) as answer:
                lines = answer.iter_lines()
                next(lines)
                running.process.terminate()
                late = client.post("/v1/chat/completions", json=body)
                assert late.status_code == 503
                assert late.json()["error"]["code"] == "draining"
                assert list(lines)[-2] == "data: [DONE]"


def test_a_missing_model_ends_the_pod_with_its_own_exit_status(tmp_path):
    log = tmp_path / "log"
    flags = ("--model", "/no/such/folder")
    with processes.service("flamingo_pod", *flags, log=log, ends_with=4) as running:
        running.process.wait(PATIENCE_S)
    assert "is not a built-in model" in log.read_text()
