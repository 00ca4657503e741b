"""What several folders share: the clips, and where built-in models are built."""

import os
from pathlib import Path

import pytest

CLIPS = Path(__file__).parent / "clips"


@pytest.fixture(scope="session", autouse=True)
def model_cache(tmp_path_factory):
    """Build the built-in models once a run, away from the user's cache."""
    folder = tmp_path_factory.mktemp("models")
    os.environ["FLAMINGO_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def clips():
    return {path.name: path.read_bytes() for path in CLIPS.iterdir() if path.suffix != ".py"}
