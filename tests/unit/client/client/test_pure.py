"""The client's decisions: addresses, retries, requests, embeddings."""

import base64

import numpy as np
import pytest

from flamingo.client import address, fields, results, retries
from flamingo.client.failures import CannotConnect, TimedOut, UnexpectedAnswer
from flamingo_common import errors
from flamingo_common.wire import responses


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        pytest.param("http://127.0.0.1:8000", "http://127.0.0.1:8000", id="plain"),
        pytest.param("http://127.0.0.1:8000/", "http://127.0.0.1:8000", id="slash"),
        pytest.param("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", id="v1"),
        pytest.param("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000", id="v1 and slash"),
        pytest.param("https://music.example/fleet/v1", "https://music.example/fleet", id="prefix"),
        pytest.param("http://[::1]:8000", "http://[::1]:8000", id="IPv6"),
        pytest.param(" http://a ", "http://a", id="spaces around"),
    ],
)
def test_address_is_understood_however_it_is_written(base_url, root):
    assert address.root(base_url) == root


@pytest.mark.parametrize("base_url", ["", "127.0.0.1:8000", "ftp://a", "http://", "http://a:99999"])
def test_what_is_no_address_is_refused_at_once(base_url):
    with pytest.raises(errors.BadRequest, match="is no address"):
        address.root(base_url)


def test_presigned_url_is_shown_without_its_key():
    shown = address.shown("https://me:pw@store.example:8443/a/song.mp3?X-Sig=s3cret#x")

    assert shown == "https://store.example:8443/a/song.mp3"


@pytest.mark.parametrize(
    ("error", "num_failed", "is_worth_it"),
    [
        pytest.param(errors.Overloaded("busy"), 1, True, id="busy"),
        pytest.param(CannotConnect("down"), 2, True, id="down, twice"),
        pytest.param(CannotConnect("down"), 3, False, id="down, three times"),
        pytest.param(errors.InvalidAudio("noise"), 1, False, id="a clip that will not get better"),
        pytest.param(errors.InternalError("bug"), 1, False, id="a bug"),
        pytest.param(TimedOut("slow"), 1, False, id="ten minutes are enough"),
    ],
)
def test_only_what_may_pass_is_tried_again(error, num_failed, is_worth_it):
    assert retries.is_worth_it(error, num_failed=num_failed, max_retries=2) is is_worth_it


@pytest.mark.parametrize(
    ("told_s", "num_failed", "dice", "wait_s"),
    [
        pytest.param(1.5, 1, 0.9, 1.5, id="the server's word, without dice"),
        pytest.param(3600.0, 1, 0.0, 60, id="the server's word, within bounds"),
        pytest.param(0.0, 1, 0.0, 0, id="come back at once"),
        pytest.param(None, 1, 0.0, 0.5, id="first"),
        pytest.param(None, 3, 0.0, 2.0, id="third"),
        pytest.param(None, 9, 0.0, 8.0, id="bounded"),
        pytest.param(None, 1, 1.0, 0.375, id="the dice take off a quarter at most"),
    ],
)
def test_wait_before_the_next_attempt(told_s, num_failed, dice, wait_s):
    error = errors.Overloaded("busy", retry_after_s=told_s)

    assert retries.wait_s(error, num_failed=num_failed, dice=dice) == wait_s


def test_what_was_not_given_is_not_sent():
    assert fields.given(style="brief", prompt=None, temperature=0) == {
        "style": "brief",
        "temperature": 0,
    }


def embedding_list(embedding, shape, **more):
    data = responses.EmbeddingData.model_construct(
        embedding=embedding, shape=shape, layer="encoder", pooling="none", **more
    )
    usage = responses.EmbeddingUsage(
        prompt_tokens=1, total_tokens=1, audio_seconds=0.1, num_frames=shape[0]
    )
    return (
        responses.EmbeddingList(id="e", created=0, model="m", data=[data], usage=usage)
        .model_dump_json()
        .encode()
    )


def test_base64_embedding_is_decoded_to_the_very_same_numbers():
    numbers = np.random.default_rng(0).standard_normal((7, 5)).astype("<f4")
    text = base64.b64encode(numbers.tobytes()).decode()

    result = results.parse_embedding(embedding_list(text, (7, 5), frame_timestamps=[0.0] * 7))

    assert result.embedding.dtype == np.float32
    assert np.array_equal(result.embedding, numbers)
    result.embedding[0, 0] = 1  # it is the caller's own
    assert result.frame_timestamps.shape == (7,)


@pytest.mark.parametrize(
    "embedding",
    [
        pytest.param(base64.b64encode(bytes(12)).decode(), id="too few numbers"),
        pytest.param(base64.b64encode(bytes(15)).decode(), id="not whole numbers"),
        pytest.param("???", id="not base64"),
        pytest.param([[1.0], [2.0, 3.0]], id="ragged rows"),
    ],
)
def test_embedding_that_is_not_of_its_shape_is_refused(embedding):
    with pytest.raises(UnexpectedAnswer, match="not of shape"):
        results.parse_embedding(embedding_list(embedding, (2, 2)))
