import json

import numpy as np
from fakes import answering_pod

from flamingo.batch import outcomes
from flamingo.batch.outcomes import ItemError, ItemResult, Outcome
from flamingo.batch.records import record
from flamingo_common.wire.answers import Answer, AnswerUsage
from flamingo_common.wire.measured import Comparison

COLUMNS = {"audio": "a.flac", "genre": "waltz"}


def test_a_result_is_one_flat_object_after_the_columns_of_the_input():
    result = ItemResult(
        caption="slow", finish_reason="stop", model="m", usage={"total_tokens": 3}, audio_s=2.5
    )
    line = record(Outcome("7", columns=COLUMNS, result=result, num_attempts=1))

    assert line == {
        "key": "7",
        "audio": "a.flac",
        "genre": "waltz",
        "caption": "slow",
        "finish_reason": "stop",
        "model": "m",
        "usage": {"total_tokens": 3},
        "audio_seconds": 2.5,
        "audio_missing_seconds": 0.0,
        "attempts": 1,
        "error": None,
    }


def test_an_embedding_is_named_and_not_written_out():
    result = ItemResult(embedding=np.zeros((3, 2), np.float32))
    line = record(Outcome("7", result=result), embedding_file="7.npy")

    assert (line["embedding_file"], line["embedding_shape"]) == ("7.npy", [3, 2])


def test_an_error_has_a_code_a_message_and_the_request():
    error = ItemError("invalid_audio", "it is empty", can_retry=False, request_id="req-1")
    line = record(Outcome("7", columns=COLUMNS, error=error, num_attempts=1))

    expected = {"code": "invalid_audio", "message": "it is empty", "request_id": "req-1"}
    assert line["error"] == expected
    assert "caption" not in line


def test_a_column_with_the_name_of_a_field_is_kept_under_another_name():
    outcome = Outcome("7", columns={"caption": "by hand"}, result=ItemResult(caption="slow"))
    line = record(outcome)

    assert (line["caption"], line["input_caption"]) == ("slow", "by hand")


def test_what_a_batch_wrote_can_be_the_manifest_of_the_next():
    first = record(Outcome("7", columns=COLUMNS, result=ItemResult(caption="slow")))
    second = record(Outcome("7", columns=first, result=ItemResult(answer="in A minor")))

    assert second["input_caption"] == "slow"
    assert second["genre"] == "waltz"
    assert json.loads(json.dumps(second)) == second


def test_what_was_measured_is_beside_the_answers():
    found = Comparison(field="bpm", answer=120, measured=60.1, agrees=False, relation="double")
    usage = AnswerUsage(prompt_tokens=1, completion_tokens=1)
    answer = Answer(content="{}", finish_reason="stop", usage=usage, comparisons=[found])
    result = ItemResult(answers={"card": answer}, measured={"tempo_bpm": 60.1})
    line = record(Outcome("7", result=result))
    assert line["measured"] == {"tempo_bpm": 60.1}
    assert line["comparisons"] == [
        {
            "question": "card",
            "field": "bpm",
            "answer": 120,
            "measured": 60.1,
            "agrees": False,
            "relation": "double",
        }
    ]


def test_answers_to_several_questions_are_an_object_beside_their_errors():
    asked = {"mood": {"prompt": "cut"}, "late": {"prompt": "fail"}, "card": {"recipe": "card"}}
    answers = {name: answering_pod.answer(one) for name, one in asked.items()}
    answers["card"] = answers["card"].model_copy(update={"confidence": {"/bpm": 0.5}})
    line = record(Outcome("7", result=ItemResult(answers=answers)))

    assert line["answers"] == {"mood": "calm", "late": None, "card": answering_pod.CARD}
    message = "the answer is not complete"
    error = {"code": "answer_incomplete", "message": message, "content": "ca"}
    assert line["answer_errors"] == [{"name": "late", **error}]
    assert line["cut_answers"] == ["mood"]
    assert line["answer_confidences"] == {"card": {"/bpm": 0.5}}
    found = outcomes.answers_error(answers)
    assert (found.code, found.can_retry) == ("answers_failed", False)
    assert found.message == f"1 of 3 questions failed: late: {message}"
