"""What a pod says when it refuses to report its load."""

import json

import pytest

from flamingo_common import errors
from flamingo_router.pods import load_polling


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (errors.InvalidApiKey("no key"), "key_refused"),
        (errors.PermissionDenied("may not observe"), "key_refused"),
        (errors.HostNotAllowed("another name"), "name_refused"),
        (errors.Draining("shuts down"), ""),
        (errors.InternalError("failed"), ""),
    ],
)
def test_a_refused_poll_says_why(error, refusal):
    body = json.dumps(errors.to_body(error)).encode()
    assert load_polling.refusal_in(error.status, body) == refusal


def test_a_refusal_by_a_proxy_is_taken_for_one_of_the_key():
    assert load_polling.refusal_in(403, b"<html>RBAC: access denied</html>") == "key_refused"
