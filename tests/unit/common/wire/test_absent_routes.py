"""What an error says about a route that does not exist."""

import pytest

from flamingo_common.wire import absent_routes

KNOWN = {"/v1/chat/completions", "/v1/responses", "/health"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/chat/completions", "did you mean /v1/chat/completions"),
        ("/v1/v1/responses", "did you mean /v1/responses"),
        ("/v1/responses/", "did you mean /v1/responses"),
        ("/v1/health", "did you mean /health"),
        ("/v1/responses/resp_1", "not stored"),
        ("/v1/responses/resp_1/input_items", "not stored"),
        ("/v1/conversations", "not stored"),
        ("/v1/completions", "/v1/chat/completions"),
        ("/v1/audio/speech", "no audio output"),
        ("/v1/audio/translations", "/v1/chat/completions"),
    ],
)
def test_a_route_of_openais_api_has_a_hint(path, words):
    assert words in absent_routes.hint(path, KNOWN)


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/v1", "/v1/responses", "/v2/responses"])
def test_any_other_path_has_none(path):
    assert absent_routes.hint(path, KNOWN) is None
