import pytest

from flamingo.batch.items import Item
from flamingo.batch.verdicts import Verdict
from flamingo.client import failures
from flamingo.client.batch_verdicts import judge
from flamingo_common import errors

PLAIN = Item("a", "a")


@pytest.mark.parametrize("cls", errors.BY_CODE.values())
def test_what_the_table_of_errors_calls_retryable_is_never_final(cls):
    verdict = judge(cls("message"), PLAIN)

    if cls.retryable:
        assert verdict in {Verdict.REFUSED, Verdict.BROKEN}


@pytest.mark.parametrize(
    "cls",
    [
        errors.InvalidAudio,
        errors.AudioDamaged,
        errors.AudioTooLong,
        errors.ContextTooLong,
        errors.RequestTooLarge,
        errors.UnsupportedMediaType,
    ],
)
def test_an_error_about_the_clip_is_final(cls):
    assert judge(cls("message"), PLAIN) is Verdict.FINAL


@pytest.mark.parametrize(
    ("cls", "verdict"),
    [
        (failures.CannotConnect, Verdict.REFUSED),
        (failures.ConnectionClosed, Verdict.BROKEN),
        (failures.TimedOut, Verdict.BROKEN),
        (failures.UnreadableFile, Verdict.BROKEN),
        (failures.ProxyError, Verdict.FATAL),
        (failures.TlsFailed, Verdict.FATAL),
        (failures.UnexpectedResponse, Verdict.FATAL),
        (errors.ClipQuarantined, Verdict.LATER),
        (errors.MediaFetchFailed, Verdict.DOUBTFUL),
        (errors.InternalError, Verdict.DOUBTFUL),
        (errors.ModelNotFound, Verdict.FATAL),
        (errors.BadRequest, Verdict.FATAL),
    ],
)
def test_other_errors(cls, verdict):
    assert judge(cls("message"), PLAIN) is verdict


def test_a_bad_request_may_be_about_the_options_of_the_line():
    assert judge(errors.BadRequest("x"), Item("a", "a", options={"style": "?"})) is Verdict.FINAL
