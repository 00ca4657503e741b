"""The URL and the API key of a command, from flags and from the environment."""

import pytest
from fakes import pods
from fakes.command_line import flamingo


@pytest.mark.parametrize("end", ["\n", "\r\n", "  ", "\ufeff"])
def test_key_with_what_files_and_secrets_add_is_trimmed(end, tmp_path):
    song = tmp_path / "song.mp3"
    song.write_bytes(b"ID3, let us say")
    pod = pods.FakePod()

    done = flamingo("caption", song, pod=pod, environ={"FLAMINGO_API_KEY": f"sk-1{end}"})

    assert (done.status, done.err) == (0, b"")
    assert pod.header_values("authorization") == ["Bearer sk-1"]


@pytest.mark.parametrize("key", ["sk\n1", "sk\x7f1", "sk\u20ac1", b"sk\xe9"])
@pytest.mark.parametrize("command", ["models", "fleet"])
def test_key_that_no_header_can_carry_is_a_usage_error_that_names_its_source(key, command):
    from_environ = flamingo(command, environ={"FLAMINGO_API_KEY": key})
    from_flag = flamingo(command, "--api-key", key)

    for done in (from_environ, from_flag):
        text = " ".join(done.err.decode().split())
        assert (done.status, done.out) == (2, b"")
        assert "Traceback" not in text
        assert "--api-key" in text
        assert "of the key is" in text
    assert b"FLAMINGO_API_KEY" in from_environ.err


@pytest.mark.parametrize("url", ["fleet:8000", '"http://a"', "http://a b", "http://a:99999"])
def test_invalid_url_is_a_usage_error(url):
    for done in (flamingo("models", url=url), flamingo("models", "--url", url)):
        assert (done.status, done.out) == (2, b"")
        assert b"Traceback" not in done.err
        assert b"--url" in done.err
