"""An embedding as JSON."""

import json

import numpy as np

from flamingo_common.wire.requests import EmbeddingOptions
from flamingo_common.wire.responses import EmbeddingList, EmbeddingUsage
from flamingo_pod.api import embedding_format


def test_the_numbers_replace_only_the_empty_embedding():
    rows = np.random.default_rng(0).standard_normal((19, 3)).astype(np.float32)
    options = EmbeddingOptions()
    whole = EmbeddingList(
        id='"embedding":""',
        created=1,
        model="m",
        data=[embedding_format.embedding_data(rows, options)],
        usage=EmbeddingUsage(prompt_tokens=1, total_tokens=1, audio_seconds=1.0, num_frames=19),
    )
    encoded = json.loads(embedding_format.encode(whole, rows))
    assert np.array_equal(np.array(encoded["data"][0]["embedding"], np.float32), rows)
    assert encoded["id"] == '"embedding":""'
