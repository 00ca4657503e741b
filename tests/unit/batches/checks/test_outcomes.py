"""What an answer means: a line of a result file, or that the line is sent again."""

import json

import pytest

from flamingo_batches.checks import outcomes
from flamingo_batches.checks.outcomes import Answer, Failure
from flamingo_batches.records import Usage
from flamingo_common import errors


def answer(error, **common):
    body = json.dumps(errors.to_body(error("why"))).encode()
    return Answer(error.status, body, "req-1", **common)


OK = Answer(200, b'{"usage": {"prompt_tokens": 3, "completion_tokens": 2}}', "req-1")


@pytest.mark.parametrize(
    "final",
    [
        OK,
        answer(errors.BadRequest),
        answer(errors.InvalidAudio),
        answer(errors.ModelNotFound),
        answer(errors.ClipQuarantined),
        Failure("clip_not_found", "gone", is_final=True),
    ],
)
def test_an_answer_about_the_line_is_final(final):
    assert outcomes.next_step(final, 0) is None


@pytest.mark.parametrize("kind", [errors.Overloaded, errors.NoEndpointReady, errors.Draining])
def test_a_refusal_is_no_attempt_and_the_wait_is_the_servers(kind):
    again = outcomes.next_step(answer(kind, retry_after="7"), 100)
    assert (again.is_refusal, again.counts, again.wait_s, again.retry_after_s) == (
        True,
        False,
        7,
        7,
    )


@pytest.mark.parametrize("lost", [answer(errors.UpstreamLost), Failure("upstream_lost", "cut")])
def test_a_failure_is_an_attempt_of_which_there_are_five(lost):
    again = [outcomes.next_step(lost, number) for number in range(5)]
    assert [step and step.counts for step in again] == [True] * 4 + [None]
    assert [step.wait_s for step in again[:4]] == [0.5, 1, 2, 4]


def test_an_outage_of_the_router_is_waited_for():
    again = outcomes.next_step(Failure("unavailable", "refused", is_outage=True), 100)
    assert (again.is_refusal, again.counts) == (True, False)


@pytest.mark.parametrize("kind", [errors.InvalidApiKey, errors.NotFound, errors.QuotaExceeded])
def test_a_refusal_of_the_service_itself_is_no_fault_of_the_line(kind):
    assert outcomes.next_step(answer(kind), 100).is_misconfigured


def test_a_result_has_the_response_byte_for_byte():
    result = outcomes.result("id-1", "a", OK)
    assert result.text == (
        b'{"id":"id-1","custom_id":"a","response":{"status_code":200,"request_id":"req-1",'
        b'"body":{"usage": {"prompt_tokens": 3, "completion_tokens": 2}}},"error":null}\n'
    )
    assert (result.is_error, result.outcome, result.usage) == (False, "completed", Usage(3, 2, 0))


def test_the_usage_of_a_response_has_names_of_its_own():
    usage = {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}
    usage |= {"output_tokens_details": {"reasoning_tokens": 1}}
    body = json.dumps({"usage": usage}).encode()
    assert outcomes.result("id-1", "a", Answer(200, body, "")).usage == Usage(3, 2, 1, 1)


def test_a_response_with_line_breaks_becomes_one_line():
    result = outcomes.result("id-1", "a", Answer(200, b'{\n"a":\r\n1}', ""))
    assert result.text.count(b"\n") == 1
    assert json.loads(result.text)["response"] == {
        "status_code": 200,
        "request_id": "id-1",
        "body": {"a": 1},
    }


@pytest.mark.parametrize("status", [200, 502])
def test_a_response_that_is_not_json_is_an_error(status):
    result = outcomes.result("id-1", "a", Answer(status, b"<html>", "r"))
    assert result.is_error
    assert "<html>" in json.loads(result.text)["response"]["body"]["error"]["message"]


def test_a_line_without_a_response_has_an_error():
    result = outcomes.result("id-1", "a", Failure("clip_not_found", "gone", is_final=True))
    assert json.loads(result.text) == {
        "id": "id-1",
        "custom_id": "a",
        "response": None,
        "error": {"code": "clip_not_found", "message": "gone"},
    }


@pytest.mark.parametrize(
    ("is_expired", "code", "outcome"),
    [(True, "batch_expired", "expired"), (False, "batch_cancelled", "cancelled")],
)
def test_a_line_that_was_not_sent_has_an_error(is_expired, code, outcome):
    result = outcomes.unsent("id-1", "a", is_expired=is_expired)
    assert json.loads(result.text)["error"]["code"] == code
    assert (result.is_error, result.outcome) == (True, outcome)
