"""Whether a checkpoint's folder is complete."""

import json
import struct

import pytest

from flamingo_pod.weights import folder, listing
from flamingo_pod.weights.errors import ModelLoadFailed

LAST = "model-00002-of-00002.safetensors"


def safetensors(**tensors):
    """Return a file of float32 tensors of zeros, by their lengths."""
    header, end = {}, 0
    for name, length in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": [length],
            "data_offsets": [end, end + 4 * length],
        }
        end += 4 * length
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of two shards."""
    shards = {"a": "model-00001-of-00002.safetensors", "b": LAST}
    (tmp_path / "config.json").write_text('{"model_type": "musicflamingo"}')
    (tmp_path / listing.INDEX).write_text(json.dumps({"weight_map": shards}))
    for tensor, name in shards.items():
        (tmp_path / name).write_bytes(safetensors(**{tensor: 10}))
    return tmp_path


def test_a_complete_folder_is_summarized_without_reading_its_weights(checkpoint):
    found = folder.read_contents(checkpoint)
    assert (found.num_tensors, found.num_parameters, found.dtypes) == (2, 20, frozenset({"F32"}))
    assert found.model_type == "musicflamingo"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda at: (at / LAST).unlink(), "is incomplete: its index lists model-00002"),
        pytest.param(
            lambda at: (at / LAST).write_bytes(safetensors(b=10)[:-1]),
            "is truncated or damaged",
        ),
        pytest.param(
            lambda at: (at / LAST).write_bytes(b"<html>not found"),
            "is not a valid safetensors file",
        ),
        pytest.param(
            lambda at: (at / LAST).write_bytes(safetensors(c=10)),
            "1 tensors of its index are missing, such as b",
        ),
        pytest.param(lambda at: (at / "config.json").unlink(), "no config.json"),
        pytest.param(lambda at: (at / "config.json").write_text("[]"), "not a JSON object"),
        pytest.param(
            lambda at: (at / listing.INDEX).write_text('{"weight_map": {"a": "../../x"}}'),
            "names that are not valid shards",
        ),
    ],
    ids=["missing", "short", "a web page", "other tensors", "no config", "a list", "outside"],
)
def test_a_message_names_what_is_missing(checkpoint, damage, message):
    damage(checkpoint)
    with pytest.raises(ModelLoadFailed, match=message):
        folder.read_contents(checkpoint)
