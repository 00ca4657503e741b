"""Forms as the usual clients send them by mistake: each error says what to do."""

import json

import pytest

CHAT, CAPTIONS = "/v1/chat/completions", "/v1/audio/captions"
ROUTES = [CHAT, CAPTIONS, "/v1/audio/embeddings", "/v1/audio/analyze", "/v1/embeddings"]
FEW = {"max_tokens": "1"}


def refusal(answer, status=400):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["audio", "files", "file[]", "song"])
def test_a_file_of_another_name_is_answered_with_the_name(http, clips, route, name):
    files = {name: ("song.ogg", clips["notes.ogg"], "audio/ogg")}
    error = refusal(http.post(route, files=files))
    assert error["message"] == f"the file's form field must be named 'file', not {name!r}"
    assert error["param"] == "file"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("text", ["song.mp3", "[object Object]", "undefined"])
def test_text_in_the_place_of_the_file_is_answered_with_how_to_send_one(http, route, text):
    error = refusal(http.post(route, files={"file": (None, text)}))
    assert "'file' has" in error["message"]
    assert "file=@song.mp3" in error["message"]
    assert error["param"] == "file"


@pytest.mark.parametrize("route", ROUTES[1:])
def test_a_form_without_a_file_is_answered_with_how_to_send_one(http, route):
    error = refusal(http.post(route, files={"truncate": (None, "true")}))
    assert "the form has no file" in error["message"]
    assert error["param"] == "file"


def test_a_form_without_prompt_is_answered_with_both_that_it_can_have(http, clips):
    error = refusal(http.post(CHAT, files={"file": clips["notes.ogg"]}))
    assert "prompt" in error["message"]
    assert "messages" in error["message"]
    assert error["param"] == "prompt"


def test_prompt_in_json_is_answered_with_messages(http):
    error = refusal(http.post(CHAT, json={"prompt": "What key is it in?"}))
    assert error["param"] == "prompt"
    assert "send messages" in error["message"]


def test_a_form_with_prompt_and_messages_is_refused(http, clips):
    request = json.dumps({"messages": [{"role": "user", "content": "a"}]})
    form = {"file": clips["notes.ogg"], "prompt": (None, "b"), "request": (None, request)}
    assert "either prompt" in refusal(http.post(CHAT, files=form))["message"]


def test_two_files_are_refused(http, clips):
    two = [("file", clips["notes.ogg"]), ("file", clips["notes.ogg"])]
    error = refusal(http.post(CAPTIONS, files=two))
    assert "more than one file" in error["message"]


@pytest.mark.parametrize("name", ["max_token", "temprature", "n_predict"])
def test_an_unknown_field_of_a_form_is_refused_with_what_was_meant(http, clips, name):
    answer = http.post(CAPTIONS, files={"file": clips["notes.ogg"]}, data={name: "1"})
    error = refusal(answer)
    assert (error["code"], error["param"]) == ("unknown_parameter", name)
    assert "did you mean" in error["message"]


@pytest.mark.parametrize("name", ["json", "payload", "data"])
def test_fields_as_json_in_a_part_of_another_name_are_answered_with_the_name(http, clips, name):
    fields = (None, json.dumps({"max_tokens": 1}), "application/json")
    error = refusal(http.post(CAPTIONS, files={"file": clips["notes.ogg"], name: fields}))
    assert error["message"].endswith(f"must be named 'request', not {name!r}")


def test_a_part_that_is_json_by_its_type_is_read_as_json(http, clips):
    wanted = (None, json.dumps({"type": "json_object"}), "application/json")
    form = {"file": clips["notes.ogg"], "response_format": wanted, "max_tokens": (None, "4")}
    answer = http.post(CAPTIONS, files=form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["caption"].lstrip().startswith("{")


def test_faults_of_the_part_request_name_the_part(http, clips):
    form = {"file": clips["notes.ogg"], "request": (None, "{'max_tokens': 1}")}
    message = refusal(http.post(CAPTIONS, files=form))["message"]
    assert message.startswith("the part 'request' is not valid JSON")
    assert "double quotes" in message


def test_a_field_that_is_sent_twice_is_a_list(http, clips):
    parts = [("file", clips["notes.ogg"]), ("max_tokens", (None, "4"))]
    stops = [("stop", (None, "zz")), ("stop", (None, "yy"))]
    assert http.post(CAPTIONS, files=parts + stops).status_code == 200
    error = refusal(http.post(CAPTIONS, files=[*parts, ("max_tokens", (None, "8"))]))
    assert error["param"] == "max_tokens"


def test_a_field_in_request_and_in_a_part_of_its_own_is_refused(http, clips):
    form = {"file": clips["notes.ogg"], "request": (None, '{"max_tokens": 1}')}
    error = refusal(http.post(CAPTIONS, files=form | {"max_tokens": (None, "8")}))
    assert error["param"] == "request.max_tokens"
    assert "'max_tokens' is in two parts" in error["message"]


@pytest.mark.parametrize("name", ["request", "file", "prompt"])
def test_the_order_of_the_parts_does_not_matter(http, clips, name):
    parts = {
        "file": ("a.ogg", clips["notes.ogg"]),
        "request": (None, '{"max_tokens": 2}'),
        "prompt": (None, "Which key?"),
    }
    last = parts.pop(name)
    assert http.post(CHAT, files=parts | {name: last}).status_code == 200


def test_a_content_type_without_boundary_is_answered_with_the_cause(http):
    headers = {"content-type": "multipart/form-data"}
    error = refusal(http.post(CAPTIONS, content=b"--x\r\n", headers=headers))
    assert "no boundary" in error["message"]


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        (None, "Content-Type is missing"),
        ("application/x-www-form-urlencoded", "curl -d"),
        ("audio/mpeg", "curl -F file=@song.mp3"),
        ("text/plain", "fetch"),
        ("text/html", "send application/json or multipart/form-data"),
    ],
)
def test_another_content_type_is_answered_with_what_to_send(http, content_type, said):
    headers = {"content-type": content_type} if content_type else {}
    error = refusal(http.post(CAPTIONS, content=b"a=b", headers=headers), 415)
    assert said in error["message"]


def test_json_with_a_byte_order_mark_is_read(http):
    body = {"messages": [{"role": "user", "content": "Name a genre."}], "max_tokens": 1}
    content = b"\xef\xbb\xbf" + json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    assert http.post(CHAT, content=content, headers=headers).status_code == 200


def test_a_form_that_is_sent_as_json_is_answered_with_the_cause(http):
    body = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n--x--\r\n'
    headers = {"content-type": "application/json"}
    error = refusal(http.post(CHAT, content=body, headers=headers))
    assert "Content-Type says JSON" in error["message"]


@pytest.mark.parametrize(("name", "value"), [("stop_token_ids", "5"), ("guided_choice", "rock")])
def test_one_value_of_a_list_is_a_list_of_one(http, clips, name, value):
    files = {"file": ("song.ogg", clips["notes.ogg"]), name: (None, value)}
    answer = http.post(CAPTIONS, files=files, data={"max_tokens": "8"})
    assert answer.status_code == 200, answer.text


def test_a_question_that_is_too_long_is_named_as_the_forms_prompt(http, clips):
    files = {"file": ("song.ogg", clips["notes.ogg"]), "prompt": (None, "ab " * 30_000)}
    error = refusal(http.post(CHAT, files=files))
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
