"""Messages of servers in the words of the command line, whatever sentence they are in."""

import pytest

from flamingo.client import failures
from flamingo.commands.display import error_texts


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "too long; set an earlier end, or set truncate to true for its beginning",
            "too long; set an earlier end, or use --truncate for its beginning",
        ),
        (
            "2 s are missing, and allow_damaged is false",
            "2 s are missing, and --no-allow-damaged is set",
        ),
        ("set allow_damaged to true", "use --allow-damaged"),
        ("truncate is false", "truncate is false"),
        ("the audio was truncated", "the audio was truncated"),
        ("max_tokens: must be\na whole number", "--max-tokens: must be a whole number"),
        ("use thinking_token_budget", "use --thinking-token-budget"),
        ("no key in the header Authorization", "no key with --api-key or FLAMINGO_API_KEY"),
        (failures.CHECK_URL, "check its URL (--url or FLAMINGO_URL) and its TLS settings"),
    ],
)
def test_a_message_has_flags_for_what_the_api_calls_otherwise(message, expected):
    assert error_texts.in_flags(message) == expected
