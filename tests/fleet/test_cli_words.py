"""Errors of a real pod in the terminal: with flags, not with what the API calls them."""

import json
import wave

import pytest
from clips import damage
from fakes import key_files, processes
from fakes.command_line import flamingo


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """A clip of 100 s, for a pod that takes 90."""
    path = tmp_path_factory.mktemp("clips") / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 100))
    return str(path)


def test_too_long_a_clip_is_refused_by_its_header_with_the_flag_that_helps(pod, long_clip):
    refused = flamingo("caption", long_clip, "--max-tokens", "2", url=pod.address)
    taken = flamingo("caption", long_clip, "--max-tokens", "2", "--truncate", url=pod.address)

    [line] = refused.errors
    assert "(100 s according to its header); use --truncate to process only its beginning" in line
    assert (refused.status, taken.status) == (1, 0)


def test_a_damaged_clip_is_refused_with_the_flag_that_helps(pod, tmp_path):
    hole = damage.hole(damage.made("flac"), 0.42, 0.08, seed=1)
    (tmp_path / "hole.flac").write_bytes(hole)

    by_default, strictly = (
        flamingo("caption", "hole.flac", *flags, url=pod.address, cwd=tmp_path)
        for flags in ([], ["--no-allow-damaged"])
    )

    assert "; use --allow-damaged to process it anyway" in by_default.errors[0]
    assert ", and --no-allow-damaged is set" in strictly.errors[0]


def test_a_key_that_is_needed_is_asked_for_with_the_flag(tmp_path):
    file = key_files.swap(tmp_path, key_files.FILE)
    flags = ("--endpoint", "http://127.0.0.1:9", "--key-file", str(file))
    with processes.service("flamingo_router", *flags, log=tmp_path / "log") as router:
        done = flamingo("models", "--json", url=router.address)

    words = "a valid API key is required, with --api-key or FLAMINGO_API_KEY"
    assert done.errors[0].startswith(f"flamingo: {words}")
    error = json.loads(done.out)["error"]
    assert (error["message"], error["code"]) == (words, "invalid_api_key")
    assert done.status == 1
