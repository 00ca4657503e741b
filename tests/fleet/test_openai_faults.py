"""The official `openai` package and a fleet that fails: what is raised, how often it is tried."""

import asyncio
import logging

import openai
import pytest
from fakes.pods import FakePod

from flamingo_common import errors

MODEL = "fake"
HELLO = [{"role": "user", "content": "Hi"}]
RETRY_AFTER_S = 0.03


def client(address, **options):
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", **options)


def waits_s(caplog):
    """Return how long the client has waited before each retry, by its own log."""
    return [each.args[0] for each in caplog.records if "Retrying request" in each.msg]


def say_hello(address, **options):
    with client(address, **options) as caller:
        answer = caller.chat.completions.create(model=MODEL, messages=HELLO)
    return answer.choices[0].message.content


@pytest.mark.parametrize(
    "refusal",
    [
        errors.Overloaded("busy", retry_after_s=RETRY_AFTER_S),
        errors.Unavailable("not now", retry_after_s=RETRY_AFTER_S),
    ],
    ids=lambda refusal: refusal.code,
)
def test_a_refusal_that_passes_is_tried_again_when_the_server_said(before, refusal, caplog):
    pod = FakePod(fails_with=refusal, num_failures=2)
    with caplog.at_level(logging.INFO, logger="openai"):
        assert say_hello(before(pod)) == "a quiet song"
    assert pod.header_values("x-stainless-retry-count") == ["0", "1", "2"]
    # Not `Retry-After`, which is in whole seconds; left to itself the client waits 0.4 s at least.
    assert waits_s(caplog) == [RETRY_AFTER_S, RETRY_AFTER_S]


@pytest.mark.parametrize(
    ("failure", "raised", "num_tries"),
    [
        (errors.Overloaded("busy", retry_after_s=0.01), openai.RateLimitError, 3),
        (errors.InternalError("a bug"), openai.InternalServerError, 1),
        (errors.InvalidAudio("no audio"), openai.BadRequestError, 1),
        (errors.ModelNotFound("another"), openai.NotFoundError, 1),
        (errors.MediaFetchFailed("gone"), openai.UnprocessableEntityError, 1),
        (errors.BodyTimeout("slow", retry_after_s=0.01), openai.APIStatusError, 3),
    ],
    ids=lambda told: getattr(told, "code", None),
)
def test_what_cannot_pass_is_told_once_and_what_can_is_tried_thrice(
    before, failure, raised, num_tries
):
    pod = FakePod(fails_with=failure)
    address = before(pod)
    with pytest.raises(raised) as caught:
        say_hello(address)
    assert (caught.value.status_code, caught.value.code) == (failure.status, failure.code)
    assert caught.value.request_id.startswith("req-")
    assert len(pod.received) == num_tries


def test_an_answer_that_does_not_come_in_time_is_a_timeout(before):
    pod = FakePod(release=asyncio.Event())
    address = before(pod)
    with pytest.raises(openai.APITimeoutError):
        say_hello(address, timeout=0.3, max_retries=0)
    assert len(pod.received) == 1


def test_a_pod_that_dies_in_mid_stream_is_an_error_in_the_stream(before):
    address = before(FakePod(words=("a ", "quiet ", "song"), aborts_after_words=2))
    said = []
    with client(address) as caller, pytest.raises(openai.APIError) as caught:  # noqa: PT012
        for chunk in caller.chat.completions.create(model=MODEL, messages=HELLO, stream=True):
            said.append(chunk.choices[0].delta.content)  # noqa: PERF401 - it raises
    assert said == ["a ", "quiet "]
    assert caught.value.code == "upstream_lost"
