import contextlib
import json

import numpy as np
import pytest
from fakes.batch_outcomes import recorded_keys

from flamingo.batch.outcomes import ItemError, ItemResult, Outcome
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo_common.errors import BadRequest


def caption(key):
    return Outcome(key, result=ItemResult(caption=f"caption of {key}"))


def written(path, *outcomes):
    output = JsonlOutput(path)
    recorded_keys(output)
    output.append(outcomes)
    output.close()


def keys_in(path):
    with contextlib.closing(JsonlOutput(path)) as output:
        return recorded_keys(output)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_outcome_is_a_line_and_its_key_is_listed(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    error = Outcome("b", error=ItemError("invalid_audio", "it is empty", can_retry=False))
    written(path, caption("a"), error)
    written(path, caption("c"))

    assert [line["key"] for line in lines(path)] == ["a", "b", "c"]
    assert keys_in(path) == ["a", "b", "c"]


@pytest.mark.parametrize("torn", [b'{"key": "b", "capt', b"{", b'{"key": "b"}', b"x" * 2**21])
def test_a_torn_last_line_is_cut_off_and_reported(tmp_path, torn):
    path, notices = tmp_path / "out.jsonl", []
    written(path, caption("a"))
    with path.open("ab") as file:
        file.write(torn)

    output = JsonlOutput(path, notify=notices.append)
    assert recorded_keys(output) == ["a"]
    output.append([caption("b")])
    assert [line["key"] for line in lines(path)] == ["a", "b"]
    assert f"cut off {len(torn)} bytes" in notices[0]
    output.close()


def test_a_file_with_only_a_torn_line_is_empty(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"key"')

    assert keys_in(path) == []


@pytest.mark.parametrize("line", ["not JSON", "[]", "{}", '{"key": 7}'])
def test_a_file_of_another_program_is_refused_with_the_line(tmp_path, line):
    path = tmp_path / "out.jsonl"
    written(path, caption("a"))
    path.write_text(path.read_text() + line + "\n")

    with pytest.raises(BadRequest, match=r"out.jsonl:2 was not written by a batch.*move the file"):
        keys_in(path)


def test_an_embedding_is_in_a_file_that_the_line_names(tmp_path):
    matrix = np.array([[0.5, 1.0]], np.float32)
    output = JsonlOutput(tmp_path / "out.jsonl", embeddings=tmp_path / "vectors")
    output.append([Outcome("a/b.flac", result=ItemResult(embedding=matrix))])
    output.close()

    (line,) = lines(tmp_path / "out.jsonl")
    assert line["embedding_file"] == "vectors/a/b.flac.npy"
    assert (np.load(tmp_path / line["embedding_file"]) == matrix).all()


def test_by_default_embeddings_are_beside_the_lines(tmp_path):
    output = JsonlOutput(tmp_path / "out.jsonl")
    output.append([Outcome("b.flac", result=ItemResult(embedding=np.zeros((1, 2), np.float32)))])
    output.close()

    assert lines(tmp_path / "out.jsonl")[0]["embedding_file"] == "b.flac.npy"
    assert (tmp_path / "b.flac.npy").exists()
