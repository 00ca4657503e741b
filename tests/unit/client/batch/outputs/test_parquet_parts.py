"""Parquet: one schema for all parts, and one file of all parts."""

import numpy as np
import pyarrow as pa
import pytest
from fakes import batch_outcomes
from fakes.batch_outcomes import recorded_keys
from pyarrow import parquet

from flamingo.batch.outcomes import ItemResult, Outcome
from flamingo.batch.outputs import parts
from flamingo.batch.outputs.parquet_parts import ParquetFileOutput
from flamingo_common.errors import BadRequest
from flamingo_common.wire.answers import Answer, AnswerUsage
from flamingo_common.wire.measured import Comparison, Measured

RESULTS = ["caption", "embedding"]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "MAX_ROWS", 3)


def run(path, outcomes, results=RESULTS, *, closes=True):
    output = ParquetFileOutput(path, results)
    finished = {*recorded_keys(output)}
    for one in outcomes:
        if one.key not in finished:
            output.append([one])
    if closes:
        output.close()
    return finished


def outcomes(*numbers, **columns):
    return [batch_outcomes.done(f"{number}.mp3", number=number, **columns) for number in numbers]


def test_one_file_has_all_rows_and_there_are_no_parts_left(tmp_path):
    path = tmp_path / "songs.parquet"
    run(path, [*outcomes(*range(7)), batch_outcomes.failed("bad.mp3", number=7)])
    table = parquet.read_table(path)
    assert table.column_names == [
        *("key", "number", "caption", "finish_reason", "model", "usage", "audio_seconds"),
        *("audio_missing_seconds", "attempts", "error", "embedding", "more"),
    ]
    rows = table.to_pylist()
    assert [row["number"] for row in rows] == [*range(8)]
    assert rows[0]["caption"] == "caption of 0.mp3"
    assert rows[0]["usage"] == batch_outcomes.USAGE
    assert rows[7]["error"]["code"] == "invalid_audio"
    assert rows[7]["embedding"] is None
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == ["songs.parquet"]


def test_pooled_embeddings_are_lists_of_a_fixed_size_and_others_are_lists_of_them(tmp_path):
    run(tmp_path / "pooled.parquet", outcomes(1, 2))
    frames = [batch_outcomes.done("1.mp3", num_frames=3), batch_outcomes.failed("2.mp3")]
    run(tmp_path / "frames.parquet", [*frames, batch_outcomes.done("3.mp3", num_frames=2)])
    pooled = parquet.read_table(tmp_path / "pooled.parquet")
    assert str(pooled.schema.field("embedding").type) == "fixed_size_list<element: float>[4]"
    flat = pooled.column("embedding").combine_chunks().flatten().to_numpy().reshape(2, 4)
    assert np.array_equal(flat[1], batch_outcomes.embedding("2.mp3")[0])
    rows = parquet.read_table(tmp_path / "frames.parquet").to_pylist()
    assert np.array_equal(rows[0]["embedding"], batch_outcomes.embedding("1.mp3", 3))
    assert rows[1]["embedding"] is None
    assert np.array_equal(rows[2]["embedding"], batch_outcomes.embedding("3.mp3", 2))
    assert rows[2]["frame_timestamps"] == [0.0, 0.04]


def test_a_run_that_was_killed_is_continued_and_a_file_grows_with_its_source(tmp_path):
    path = tmp_path / "songs.parquet"
    run(path, outcomes(*range(5)), closes=False)
    assert not path.exists()
    assert run(path, outcomes(*range(6))) == {f"{number}.mp3" for number in range(5)}
    assert len(run(path, outcomes(*range(9)))) == 6
    keys = parquet.read_table(path).column("key").to_pylist()
    assert sorted(keys) == [f"{number}.mp3" for number in range(9)]


def test_parts_that_a_killed_run_had_merged_are_not_merged_again(tmp_path):
    path = tmp_path / "songs.parquet"
    run(path, outcomes(*range(5)), closes=False)
    folder = tmp_path / "songs.parquet.parts"
    kept = {part.name: part.read_bytes() for part in folder.glob("*.parquet")}
    run(path, outcomes(*range(5)))
    assert kept
    folder.mkdir()
    for name, content in kept.items():  # as if it had been killed before it removed them
        (folder / name).write_bytes(content)
    run(path, outcomes(*range(6)))
    assert sorted(parquet.read_table(path).column("key").to_pylist()) == [
        f"{number}.mp3" for number in range(6)
    ]


def test_columns_of_the_input_keep_their_first_type_and_what_does_not_fit_is_kept_as_json(tmp_path):
    first = [
        batch_outcomes.done("1", n=1, tags=["a"], nothing=None, mixed=1, empty={}, more="x"),
        batch_outcomes.done("2", n=2, tags=[], nothing=None, mixed="two", empty={}),
        batch_outcomes.done("3", n=3, tags=["b"], nothing=None, mixed=None, empty={}),
    ]
    later = batch_outcomes.done("4", n="four", tags={"c": 1}, nothing={"d": 1}, new=[1], mixed=4)
    run(tmp_path / "o.parquet", [*first, later])
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [row["n"] for row in rows] == [1, 2, 3, None]
    assert [row["mixed"] for row in rows] == ["1", "two", None, "4"]
    assert rows[0]["more"] == '{"more": "x"}'
    assert rows[0]["empty"] == "{}"
    assert rows[3]["nothing"] == '{"d": 1}'
    assert rows[3]["more"] == '{"new": [1], "n": "four", "tags": {"c": 1}}'


def test_columns_with_the_names_of_ours_are_kept_under_another_name(tmp_path):
    run(tmp_path / "o.parquet", [batch_outcomes.captioned("1", caption="mine", model=5)])
    [row] = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert (row["caption"], row["input_caption"], row["input_model"]) == (
        "caption of 1",
        "mine",
        5,
    )


def test_a_first_part_of_errors_alone_can_be_continued(tmp_path):
    path = tmp_path / "o.parquet"
    errors = [batch_outcomes.failed(f"bad {number}") for number in range(4)]
    run(path, [*errors, *outcomes(1)])
    rows = parquet.read_table(path).to_pylist()
    assert rows[4]["embedding"] == batch_outcomes.embedding("1.mp3")[0].tolist()


def test_errors_are_forgotten_in_the_file_too(tmp_path):
    path = tmp_path / "o.parquet"
    run(path, [*outcomes(*range(3)), batch_outcomes.failed("bad.mp3")])
    output = ParquetFileOutput(path, RESULTS)
    assert len(recorded_keys(output)) == 4
    output.forget_failed()
    assert run(path, [batch_outcomes.done("bad.mp3")]) == {"0.mp3", "1.mp3", "2.mp3"}
    rows = parquet.read_table(path).to_pylist()
    assert [row["error"] for row in rows] == [None] * 4


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "o.parquet")
    with pytest.raises(BadRequest, match="was not written by a batch; move it away"):
        run(tmp_path / "o.parquet", outcomes(1))


def test_a_name_that_is_not_utf8_is_written_and_found_again(tmp_path):
    path = tmp_path / "songs.parquet"
    key = "caf\udce9.mp3"
    run(path, [batch_outcomes.done(key, file_name=key, tags={"dir": "\udce9"})])
    row = parquet.read_table(path).to_pylist()[0]
    assert (row["key"], row["file_name"]) == ("caf\\udce9.mp3", "caf\\udce9.mp3")
    assert row["tags"] == {"dir": "\\udce9"}
    assert run(path, []) == {key}


def test_what_was_measured_has_typed_columns(tmp_path):
    found = [
        Comparison(field="bpm", answer=120, measured=60.1, agrees=False, relation="double"),
        Comparison(field="key", answer="Am", measured=None, agrees=None, relation=None),
    ]
    usage = AnswerUsage(prompt_tokens=1, completion_tokens=1)
    answer = Answer(content="{}", finish_reason="stop", usage=usage, comparisons=found)
    measured = Measured(tempo_bpm=60.1, beats_s=[0.5, 1.5], reasons={"key": "the clip is silent"})
    result = ItemResult(answers={"card": answer}, measured=measured.model_dump(mode="json"))
    path = tmp_path / "songs.parquet"
    run(
        path,
        [Outcome("a", result=result), Outcome("b", result=ItemResult())],
        ["measured", "comparisons"],
    )
    table = parquet.read_table(path)
    assert str(table.schema.field("measured").type.field("beats_s").type).startswith("list<")
    first, second = table.to_pylist()
    assert first["measured"]["tempo_bpm"] == 60.1
    assert first["measured"]["beats_s"] == [0.5, 1.5]
    assert first["measured"]["key"] is None
    assert first["measured"]["reasons"] == '{"key": "the clip is silent"}'
    assert first["comparisons"][0] == {
        "question": "card", "field": "bpm", "answer": "120", "measured": "60.1",
        "agrees": False, "relation": "double",
    }  # fmt: skip
    assert second["measured"] is None
