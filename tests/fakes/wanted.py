"""What to do where the machine lacks something."""

import os
from typing import NoReturn

import pytest


def absent(what: str, install: str) -> NoReturn:
    """Skip the test for want of something, or fail it where nothing may be wanting."""
    told = f"{what} is not installed; {install}"
    if os.environ.get("FLAMINGO_REQUIRE_ALL") == "1":
        pytest.fail(told)
    pytest.skip(told)
