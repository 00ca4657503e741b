"""What Open WebUI 0.12.4 sends, recorded between it and a router, and its filter of `clients.md`.

Its texts are shortened; the fields, the headers and the order of the parts are its own.
"""

import base64
import json
import subprocess
import sys

import httpx2
import pytest
from documents import selections
from fakes import calling_checkpoint, processes

AS_IT_SENDS = {"Authorization": "Bearer none", "User-Agent": "Python/3.11 aiohttp/3.14.5"}
QUESTION = {"role": "user", "content": "Name a genre of music."}
TITLE = '### Task:\nGenerate a concise title.\n### Output:\nJSON format: { "title": "…" }'
TASK = {"role": "user", "content": f"{TITLE}\n<chat_history>\nUSER: Hello.\n</chat_history>"}
ASSISTANT = {"role": "assistant", "content": "Rock and"}
REQUESTS = {
    "message": {"stream": True, "messages": [QUESTION]},
    "next message": {"stream": True, "messages": [QUESTION, ASSISTANT, QUESTION]},
    "continued answer": {"stream": True, "messages": [QUESTION, ASSISTANT]},
    "system prompt": {
        "stream": True,
        "messages": [{"role": "system", "content": "Be short."}, QUESTION],
        "stream_options": {"include_usage": True},
    },
    "parameters": {
        "stream": False,
        "messages": [QUESTION],
        "temperature": 0.5,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.1,
        "max_tokens": 8,
        "seed": 3,
        "stop": ["x"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.1,
    },
    "title": {"messages": [TASK], "stream": False, "max_tokens": 1000},
    "tags": {"messages": [TASK], "stream": False},
    "emoji": {"messages": [TASK], "stream": False, "max_tokens": 4},
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_current_timestamp",
        "description": "Get the current Unix timestamp in seconds.",
        "parameters": {"properties": {}, "type": "object"},
    },
}
ITS_FILES = """
class File:
    def __init__(self, name, content_type):
        self.path, self.meta = name, {"name": name, "content_type": content_type}


class Files:
    @staticmethod
    async def get_file_by_id_and_user_id(id, user_id):
        named = {"song": File("song.mp3", "audio/mpeg"), "notes": File("notes.txt", "text/plain")}
        return named.get(id) if user_id == "me" else None
"""
ITS_STORAGE = """
class Storage:
    @staticmethod
    def get_file(path):
        return path
"""
ITS_CALL = """
import asyncio, json, sys
from flamingo_audio import Filter

body, user = json.load(sys.stdin)
json.dump(asyncio.run(Filter().inlet(body=body, __user__={"id": user})), sys.stdout)
"""


@pytest.fixture
def open_webui(fleet):
    with httpx2.Client(base_url=fleet[0].address, timeout=60, headers=AS_IT_SENDS) as client:
        yield client


def ask(client, body):
    return client.post("/v1/chat/completions", json={"model": "flamingo-tiny", **body})


@pytest.mark.parametrize("name", REQUESTS)
def test_what_its_page_sends_is_answered(open_webui, name):
    answer = ask(open_webui, REQUESTS[name])
    assert answer.status_code == 200, answer.text
    if REQUESTS[name]["stream"]:
        assert answer.text.endswith("data: [DONE]\n\n")
    else:
        assert answer.json()["choices"][0]["message"]["content"]


def test_what_its_tools_need_is_in_the_error(open_webui):
    answer = ask(open_webui, REQUESTS["message"] | {"tools": [CLOCK]})
    assert answer.status_code == 400
    assert "send no tools" in answer.json()["error"]["message"]
    assert "--enable-auto-tool-choice" in answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def deciding(model_cache, tmp_path_factory):
    """A router before a pod that lets its model decide on calls, and whose model makes them."""
    folder = tmp_path_factory.mktemp("deciding")
    model = calling_checkpoint.write(folder / "model", has_marks=True)
    named = ("--model", str(model), "--served-model-name", "flamingo-tiny")
    flags = (*named, "--enable-auto-tool-choice")
    with processes.service("flamingo_pod", *flags, log=folder / "pod") as pod:
        processes.wait_until_ready(pod)
        endpoint = ("--endpoint", pod.address)
        with processes.service("flamingo_router", *endpoint, log=folder / "router") as router:
            processes.wait_until_ready(router)
            with httpx2.Client(base_url=router.address, timeout=60, headers=AS_IT_SENDS) as client:
                yield client


def test_its_tools_work_by_default_where_the_model_may_decide(deciding):
    """It adds its tools to each message of a chat, and results and calls to the next request."""
    body = REQUESTS["system prompt"] | {"tools": [CLOCK]}
    answer = ask(deciding, body)
    assert answer.status_code == 200, answer.text
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    parts = [part for one in choices for part in one["delta"].get("tool_calls", ())]
    assert parts[0]["function"]["name"] == "get_current_timestamp"
    assert choices[-1]["finish_reason"] == "tool_calls"
    arguments = "".join(part["function"]["arguments"] for part in parts)
    assert json.loads(arguments) == {}
    content = "".join(one["delta"].get("content") or "" for one in choices)
    function = {"name": "get_current_timestamp", "arguments": arguments}
    call = {"id": parts[0]["id"], "type": "function", "index": 0, "function": function}
    made = {"role": "assistant", "content": content, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "1764500000"}
    again = ask(deciding, body | {"messages": [*body["messages"], made, result]})
    assert again.status_code == 200, again.text
    assert again.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("language", [None, "en"])
def test_a_recording_is_transcribed(open_webui, clips, language):
    """It sends the fields first and the file in chunks, without a length and without its type."""
    parts = [b'name="model"\r\n\r\nflamingo-tiny']
    parts += [b'name="language"\r\n\r\n' + language.encode()] if language else []
    parts += [b'name="file"; filename="6f1c.mp3"\r\n\r\n' + clips["notes.mp3"]]
    kinds = [*(b"text/plain; charset=utf-8" for _ in parts[1:]), b"application/octet-stream"]
    chunks = [
        b"--4e74\r\nContent-Type: %s\r\nContent-Disposition: form-data; %s\r\n" % pair
        for pair in zip(kinds, parts, strict=True)
    ]
    answer = open_webui.post(
        "/v1/audio/transcriptions",
        content=iter([*chunks, b"--4e74--\r\n"]),
        headers={"Content-Type": "multipart/form-data; boundary=4e74"},
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["text"]) > 20


@pytest.fixture
def inlet(tmp_path, clips):
    """Return what the filter of the page makes of a body of a user."""
    package = tmp_path / "open_webui"
    for name, text in {"models/files": ITS_FILES, "storage/provider": ITS_STORAGE}.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    (script,) = selections.OPEN_WEBUI.commands()
    (tmp_path / script.file).write_text(script.text, encoding="utf-8")
    (tmp_path / "song.mp3").write_bytes(clips["notes.mp3"])

    def call(body, user="me"):
        command = [sys.executable, "-c", ITS_CALL]
        text = json.dumps([body, user])
        done = subprocess.run(
            command, input=text, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return call


def body_with(*ids):
    files = [{"type": "file", "id": each, "content_type": "audio/mpeg"} for each in ids]
    messages = [{"role": "system", "content": "Be short."}, QUESTION, ASSISTANT, QUESTION]
    return {"messages": messages, "files": files, "metadata": {"files": files}}


def test_with_the_filter_attached_audio_is_heard(open_webui, inlet, clips):
    sent = inlet(body_with("song", "notes"))
    assert [file["id"] for file in sent["files"]] == ["notes"]
    assert sent.pop("metadata")["files"] == sent.pop("files")
    audio, text = sent["messages"][1]["content"]
    assert base64.b64decode(audio["input_audio"]["data"]) == clips["notes.mp3"]
    assert text == {"type": "text", "text": QUESTION["content"]}
    answer = ask(open_webui, sent)
    assert answer.json()["usage"]["prompt_tokens_details"]["audio_tokens"] > 0


def test_the_filter_leaves_other_files_and_those_of_others_alone(inlet):
    body = body_with("notes", "unknown")
    assert inlet(body) == body
    body = body_with("song")
    assert inlet(body, user="somebody-else") == body
