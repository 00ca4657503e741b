"""The client's own errors."""

import pytest

from flamingo import errors
from flamingo.client import failures


@pytest.mark.parametrize(
    "kind", [failures.CannotConnect, failures.TimedOut, failures.UnexpectedResponse]
)
def test_every_error_is_a_flamingo_error_that_no_server_returns(kind):
    assert issubclass(kind, errors.FlamingoError)
    assert kind.code not in errors.BY_CODE


def test_failed_connection_names_the_address_the_reason_and_the_fix():
    message = failures.connection_failed("http://a:1", "connection refused").message

    assert message.startswith("cannot connect to http://a:1 (connection refused)")
    assert all(word in message for word in ("flamingo up", "--url", "base_url", "FLAMINGO_URL"))


def test_only_a_failed_connection_may_be_retried():
    assert failures.connection_closed("http://a:1").retryable
    assert not failures.read_timed_out("http://a:1", 2).retryable
    assert not failures.unexpected_response("http://a:1", "redirect to b").retryable
