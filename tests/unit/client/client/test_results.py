"""How embeddings in responses are decoded."""

import base64

import numpy as np
import pytest

from flamingo.client import results
from flamingo.client.failures import UnexpectedResponse
from flamingo_common.wire import responses


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


def test_base64_embedding_is_decoded_exactly():
    numbers = np.random.default_rng(0).standard_normal((7, 5)).astype("<f4")
    text = base64.b64encode(numbers.tobytes()).decode()

    result = results.parse_embedding(embedding_list(text, (7, 5), frame_timestamps=[0.0] * 7))

    assert result.embedding.dtype == np.float32
    assert np.array_equal(result.embedding, numbers)
    result.embedding[0, 0] = 1  # the array is writable
    assert result.frame_timestamps.shape == (7,)


@pytest.mark.parametrize(
    "embedding",
    [
        pytest.param(base64.b64encode(bytes(12)).decode(), id="too few numbers"),
        pytest.param(base64.b64encode(bytes(15)).decode(), id="a fraction of a number"),
        pytest.param("???", id="invalid base64"),
        pytest.param([[1.0], [2.0, 3.0]], id="ragged rows"),
    ],
)
def test_embedding_that_does_not_match_its_shape_is_refused(embedding):
    with pytest.raises(UnexpectedResponse, match="does not match its shape"):
        results.parse_embedding(embedding_list(embedding, (2, 2)))
