"""What a test does where the machine lacks a tool."""

import os
from typing import NoReturn

import pytest


def absent(what: str, install: str) -> NoReturn:
    """Skip the test, or fail it where FLAMINGO_REQUIRE_ALL is set."""
    message = f"{what} is not installed; {install}"
    if os.environ.get("FLAMINGO_REQUIRE_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)
