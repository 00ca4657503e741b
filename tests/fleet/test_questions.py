"""Several questions about one clip, answered by a real fleet and by a real pod."""

import base64
import json
import math

import httpx2
import pytest
from fakes import processes
from fakes.patience import PATIENCE_S

from flamingo.commands.catalogue import asked
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire import sse

MOOD = {"name": "mood", "prompt": "What is the mood?", "max_tokens": 8}
METER = {"name": "meter", "prompt": "Meter?", "structured_outputs": {"choice": ["3/4", "4/4"]}}


LIVE = {"type": "predicate", "name": "live", "instructions": "Is it live?"}
GENRE = {
    "type": "choice",
    "instructions": "Which genre is it?",
    "choices": [{"value": "rock"}, {"value": "jazz", "description": "with swing"}],
}


def ask(http, clip, *questions, **fields):
    body = json.dumps({"questions": list(questions), **fields})
    form = {"file": ("song", clip), "request": (None, body, "application/json")}
    return http.post("/v1/audio/analyze", files=form)


def error(response):
    return response.json()["error"]


def test_each_answer_is_what_the_question_alone_would_have(http, clips):
    questions = [MOOD, METER, {"name": "brief", "style": "brief", "max_tokens": 12}]
    answer = ask(http, clips["notes.mp3"], *questions).json()
    assert list(answer["answers"]) == ["mood", "meter", "brief"]
    assert "caption" not in answer
    assert "embedding" not in answer
    assert answer["answers"]["meter"]["content"] in {"3/4", "4/4"}
    for name, fields in {"mood": {"prompt": MOOD["prompt"]}, "brief": {"style": "brief"}}.items():
        limit = {"max_tokens": {"mood": "8", "brief": "12"}[name]}
        alone = http.post(
            "/v1/audio/captions", files={"file": clips["notes.mp3"]}, data=fields | limit
        ).json()
        assert answer["answers"][name]["content"] == alone["caption"]
        assert answer["answers"][name]["finish_reason"] == alone["finish_reason"] == "length"


def test_the_clip_is_encoded_and_counted_once(http, clips):
    questions = [MOOD | {"name": f"m{at}"} for at in range(6)]
    usage = ask(http, clips["drums.wav"], *questions).json()["usage"]
    stats = http.get("/stats").json()["timings"][-1]
    assert stats["num_windows"] <= 1
    assert stats["num_answers"] == 6
    assert stats["num_tokens"] == usage["completion_tokens"] == 48
    details = usage["prompt_tokens_details"]
    assert usage["prompt_tokens"] == details["audio_tokens"] + details["text_tokens"]
    alone = ask(http, clips["drums.wav"], MOOD).json()["usage"]["prompt_tokens_details"]
    assert details["audio_tokens"] == alone["audio_tokens"]
    assert details["text_tokens"] == 6 * alone["text_tokens"]


def test_answers_are_streamed_together(http, clips):
    questions = [MOOD, METER, {"name": "lyrics", "recipe": "lyrics", "max_tokens": 12}]
    whole = ask(http, clips["notes.mp3"], *questions, pooling="mean").json()
    streamed = ask(http, clips["notes.mp3"], *questions, stream=True, pooling="mean")
    *events, done = sse.EventDecoder().feed(streamed.content)
    assert done == "[DONE]"
    *events, last = map(json.loads, events)
    for name, answer in whole["answers"].items():
        of_question = [event for event in events if event["name"] == name]
        assert "".join(event["delta"] for event in of_question) == answer["content"]
        assert [event["answer"] for event in of_question if "answer" in event] == [answer]
        assert of_question[-1]["finish_reason"] == answer["finish_reason"]
    assert last["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert last["embedding"]["shape"] == [1, 64]
    names = [event["name"] for event in events]
    assert names.index("lyrics") < len(names) - 1 - names[::-1].index("mood"), "interleaved"


def test_a_recipe_with_a_schema_is_parsed_and_one_with_sections_is_read(http, clips):
    questions = [{"name": "card", "recipe": "card"}, {"name": "structure", "recipe": "structure"}]
    answers = ask(http, clips["notes.mp3"], *questions, seed=1).json()["answers"]
    card = answers["card"]
    assert card["recipe"] == "card"
    if "error" in card:  # random weights fill strings up to their limits
        assert card["error"]["code"] == "answer_incomplete"
    else:
        assert set(card["parsed"]) >= {"genre", "bpm", "key"}
    structure = answers["structure"]
    assert ("sections" in structure) != ("error" in structure)


def test_an_answer_that_is_cut_is_the_error_of_its_question_alone(http, clips):
    card = {"name": "card", "recipe": "card", "max_tokens": 2}
    answers = ask(http, clips["notes.mp3"], card, METER).json()["answers"]
    assert answers["card"]["error"] == {
        "code": "answer_incomplete",
        "message": "the answer is not complete: it has max_tokens (2) tokens, the maximum;"
        " raise max_tokens",
    }
    assert answers["card"]["finish_reason"] == "length"
    assert "error" not in answers["meter"]


@pytest.mark.parametrize(
    ("question", "param", "message"),
    [
        ({"recipe": "lyrcs"}, "questions[1].recipe", "did you mean 'lyrics'?"),
        (
            {"prompt": "a", "structured_outputs": {"json": {"type": "wrong"}}},
            "questions[1].structured_outputs.json",
            "question 'b'",
        ),
        ({"prompt": "say <|im_end|>"}, "questions[1].prompt", "control token '<|im_end|>'"),
        ({"prompt": "a", "max_tokens": 32_768}, "questions[1].max_tokens", "maximum context"),
        ({"prompt": "a", "recipe": "card"}, "questions[1]", "not prompt and recipe"),
        (
            {"decisions": [LIVE | {"instructions": "say <|im_end|>"}]},
            "questions[1].decisions[0].instructions",
            "control token",
        ),
        (
            {"decisions": [LIVE, LIVE | {"type": "choice", "choices": [{"value": "a"}]}]},
            "questions[1].decisions[1].choices",
            "at least 2 items",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_generated(
    http, clips, question, param, message
):
    before = http.get("/stats").json()["timings"][-1:]
    refused = ask(http, clips["notes.mp3"], MOOD, {"name": "b", **question})
    assert refused.status_code == 400
    assert error(refused)["param"] == param
    assert message in error(refused)["message"]
    assert http.get("/stats").json()["timings"][-1:] == before


def test_questions_go_through_a_router_and_recipes_are_listed(fleet, clips):
    router, _ = fleet
    with httpx2.Client(base_url=router.address, timeout=PATIENCE_S) as http:
        answer = ask(http, clips["notes.mp3"], MOOD, METER)
        listed = http.get("/v1/recipes").json()
    assert set(answer.json()["answers"]) == {"mood", "meter"}
    names = [recipe["name"] for recipe in listed["data"]]
    assert names == ["ace-step", "card", "lyrics", "structure"]
    assert listed["data"][1]["json_schema"]["required"][0] == "genre"


def decided(http, clip, *decisions, **options):
    fields = json.dumps({"questions": list(decisions), **options})
    return http.post("/v1/decisions", data={"request": fields}, files={"file": clip}).json()


def leaves(value):
    """Return what is in nested lists and objects, in order."""
    values = value.values() if isinstance(value, dict) else value
    is_nested = isinstance(value, dict | list)
    return [leaf for each in values for leaf in leaves(each)] if is_nested else [value]


def are_equal(answers, expected):
    """Return whether decisions are equal up to the rounding of other batches."""
    return leaves(answers) == pytest.approx(leaves(expected), abs=1e-4)


def test_decisions_beside_texts_have_the_answers_of_the_route_of_decisions(http, clips):
    clip = clips["notes.mp3"]
    questions = [MOOD, {"name": "tags", "decisions": [LIVE, GENRE]}, METER]
    questions += [{"name": "again", "decisions": [GENRE]}]
    alone, expected = ask(http, clip, MOOD, METER).json(), decided(http, clip, LIVE, GENRE, GENRE)
    answer = ask(http, clip, *questions).json()
    answers = answer["answers"]
    assert list(answers) == ["mood", "tags", "meter", "again"]
    assert {name: answers[name] for name in ("mood", "meter")} == alone["answers"]
    assert are_equal(answers["tags"]["decisions"], expected["answers"][:2])
    assert are_equal(answers["again"]["decisions"], expected["answers"][2:])
    assert (answers["tags"]["content"], answers["tags"]["finish_reason"]) == ("", None)
    usage, details = answer["usage"], answer["usage"]["prompt_tokens_details"]
    num_text = sum(each["usage"]["prompt_tokens"] for each in answers.values())
    assert details["text_tokens"] == num_text
    assert usage["prompt_tokens"] == details["audio_tokens"] + num_text
    assert usage["completion_tokens"] == alone["usage"]["completion_tokens"]
    without_clip = expected["usage"]["input_tokens"] - details["audio_tokens"]
    assert usage["prompt_tokens"] == alone["usage"]["prompt_tokens"] + without_clip
    assert http.get("/stats").json()["timings"][-1]["num_answers"] == 4


def test_decisions_have_orders_and_temperatures_as_on_their_route(http, clips):
    clip = clips["notes.mp3"]
    tags = {"name": "tags", "decisions": [LIVE, GENRE], "orders": 3, "temperature": 4.0}
    again = {"name": "again", "decisions": [GENRE]}

    answers = ask(http, clip, tags, MOOD, again).json()["answers"]

    expected = decided(http, clip, LIVE, GENRE, orders=3, temperature=4.0)
    assert are_equal(answers["tags"]["decisions"], expected["answers"])
    plain = decided(http, clip, GENRE)
    assert are_equal(answers["again"]["decisions"], plain["answers"])
    assert not are_equal(answers["again"]["decisions"], answers["tags"]["decisions"][1:])


def test_decisions_alone_are_an_analysis_too(http, clips):
    answer = ask(http, clips["drums.wav"], {"name": "tags", "decisions": [GENRE]}).json()
    expected = decided(http, clips["drums.wav"], GENRE)
    assert are_equal(answer["answers"]["tags"]["decisions"], expected["answers"])
    assert answer["usage"]["prompt_tokens"] == expected["usage"]["input_tokens"]
    assert answer["usage"]["audio_seconds"] == expected["usage"]["audio_seconds"]


def test_decisions_are_streamed_as_one_event_of_their_name(http, clips):
    tags = {"name": "tags", "decisions": [LIVE, GENRE]}
    streamed = ask(http, clips["notes.mp3"], MOOD, tags, stream=True)
    *events, done = sse.EventDecoder().feed(streamed.content)
    assert done == "[DONE]"
    of_tags = [event for event in map(json.loads, events) if event.get("name") == "tags"]
    assert [len(event["answer"]["decisions"]) for event in of_tags] == [2]
    assert json.loads(events[-1])["usage"]["completion_tokens"] == MOOD["max_tokens"]


RECIPE = "name: tempo\ndescription: The tempo.\nprompt: How fast?\nmax_tokens: 6\n"


def test_recipes_of_a_folder_are_answered(tmp_path, clips):
    (tmp_path / "tempo.yaml").write_text(RECIPE + "schema: {type: integer, maximum: 300}\n")
    flags = ("--model", "flamingo-tiny", "--recipes-dir", str(tmp_path))
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as running:
        processes.wait_until_ready(running)
        with httpx2.Client(base_url=running.address, timeout=PATIENCE_S) as http:
            answer = ask(http, clips["notes.mp3"], {"name": "t", "recipe": "tempo"}).json()
    assert isinstance(answer["answers"]["t"]["parsed"], int)


SHEET = "parser: sections\nschema: {const: Grey is the harbour}\n"


def test_a_recipe_file_of_a_user_is_answered_as_one_in_the_folder_of_the_pods(tmp_path, clips):
    own = tmp_path / "sheet.yaml"
    own.write_text(RECIPE.replace("tempo", "sheet").replace(": 6", ": 40") + SHEET)
    (sent,) = asked.questions([str(own)], None, None)
    flags = ("--model", "flamingo-tiny", "--recipes-dir", str(tmp_path))
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as running:
        processes.wait_until_ready(running)
        with httpx2.Client(base_url=running.address, timeout=PATIENCE_S) as http:
            named = {"name": "named", "recipe": "sheet"}
            answers = ask(http, clips["notes.mp3"], sent, named).json()["answers"]
    (section,) = answers["sheet"]["sections"]
    assert [line["text"] for line in section["lines"]] == ['"Grey is the harbour"']
    assert answers["named"].pop("recipe") == "sheet"
    assert answers["sheet"] == answers["named"]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (RECIPE + "schema: {type: wrong}\n", "recipe tempo: schema: "),
        (
            RECIPE.replace("How", "<sound> How"),
            "recipe tempo: prompt: the text contains the control",
        ),
    ],
    ids=["schema", "control token"],
)
def test_a_pod_does_not_start_with_a_recipe_that_cannot_be_answered(tmp_path, recipe, message):
    (tmp_path / "tempo.yaml").write_text(recipe)
    flags = ("--model", "flamingo-tiny", "--recipes-dir", str(tmp_path))
    log = tmp_path / "log"
    status = ExitStatus.INVALID_CONFIGURATION
    with processes.service("flamingo_pod", *flags, log=log, ends_with=status) as running:
        assert running.process.wait(PATIENCE_S) == status
    assert message in log.read_text()


CARD_SCHEMA = {
    "type": "object",
    "properties": {
        "tempo": {"enum": ["slow", "medium", "fast"]},
        "bpm": {"type": "integer", "minimum": 20, "maximum": 300},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2},
    },
    "required": ["tempo", "bpm", "tags"],
    "additionalProperties": False,
}
CARD = {
    "name": "card",
    "prompt": "Describe it.",
    "max_tokens": 400,
    "structured_outputs": {"json": CARD_SCHEMA},
}


def test_confidence_is_that_of_each_value_of_answers_in_a_format(http, clips):
    found = ask(http, clips["notes.mp3"], CARD, METER, MOOD, confidence=True).json()["answers"]
    assert list(found["card"]["confidence"]) == ["/tempo", "/bpm", "/tags/0", "/tags/1"]
    assert list(found["meter"]["confidence"]) == [""]
    assert "confidence" not in found["mood"]
    for one in found["card"]["confidence"].values():
        assert 0 < one < 1


def test_confidence_is_the_product_of_the_probabilities_that_a_chat_returns(http, clips):
    answer = ask(http, clips["notes.mp3"], METER, confidence=True).json()["answers"]["meter"]
    clip = base64.b64encode(clips["notes.mp3"]).decode()
    audio = {"type": "input_audio", "input_audio": {"data": clip, "format": "mp3"}}
    content = [audio, {"type": "text", "text": METER["prompt"]}]
    chat = {
        "messages": [{"role": "user", "content": content}],
        "structured_outputs": METER["structured_outputs"],
        "logprobs": True,
    }
    choice = http.post("/v1/chat/completions", json=chat).json()["choices"][0]
    assert choice["message"]["content"] == answer["content"]
    expected = math.exp(sum(token["logprob"] for token in choice["logprobs"]["content"]))
    assert answer["confidence"][""] == pytest.approx(expected, rel=1e-3)


def test_confidence_changes_no_answer_and_is_streamed_with_it(http, clips):
    plain = ask(http, clips["notes.mp3"], CARD).json()["answers"]["card"]
    streamed = ask(http, clips["notes.mp3"], CARD, confidence=True, stream=True)
    *events, _ = sse.EventDecoder().feed(streamed.content)
    answer = next(event["answer"] for event in map(json.loads, events) if "answer" in event)
    assert set(answer.pop("confidence")) == {"/tempo", "/bpm", "/tags/0", "/tags/1"}
    assert answer == plain


def test_an_answer_that_is_cut_has_no_confidence(http, clips):
    cut = CARD | {"max_tokens": 2}
    answer = ask(http, clips["notes.mp3"], cut, METER, confidence=True).json()["answers"]["card"]
    assert answer["error"]["code"] == "answer_incomplete"
    assert "confidence" not in answer


def test_confidence_without_questions_is_refused(http, clips):
    answer = http.post(
        "/v1/audio/analyze", files={"file": clips["notes.mp3"]}, data={"confidence": "true"}
    )
    assert answer.status_code == 400
    assert error(answer)["param"] == "confidence"
    assert "there are none" in error(answer)["message"]
