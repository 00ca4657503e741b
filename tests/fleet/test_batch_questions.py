"""`flamingo batch --task analyze` with recipes and questions, as a process."""

import json
import signal

import pytest
from fakes import answering_pod, batch_processes
from fakes.answering_pod import AnsweringHoldingPod, AnsweringPod
from fakes.batch_processes import NUM_SONGS
from fakes.deciding_pod import DecidingPod
from pyarrow import parquet

from flamingo_common.service.exit_status import ExitStatus

ASKED = ["--task", "analyze", "-r", "card", "-r", "lyrics", "-q", "Mood?"]


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(NUM_SONGS):
        (folder / f"{number}.mp3").write_bytes(b"ID3, let us say")
    return folder


def keys_of(folder):
    return sorted(path.name for path in folder.glob("*.mp3"))


def json_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


OUTPUTS = {
    "out.jsonl": ([], json_rows),
    "out.parquet": ([], lambda path: parquet.read_table(path).to_pylist()),
    "texts": (["--output-format", "sidecars"], lambda path: json_rows(path / "results.jsonl")),
    "dataset": (
        ["--output-format", "audiofolder"],
        lambda path: json_rows(path / "metadata.jsonl"),
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_answers_are_recorded_once_whatever_is_killed(songs, tmp_path, name):
    flags, read = OUTPUTS[name]

    killed, again, num_sent = batch_processes.killed_and_continued(
        *["songs", "-o", name, *ASKED, *flags],
        cwd=tmp_path,
        signals=[signal.SIGKILL],
        pod=AnsweringHoldingPod,
    )

    assert (killed[0], again[0]) == (-signal.SIGKILL, 0), again
    rows = read(tmp_path / name)
    assert sorted(row["key"] for row in rows) == keys_of(songs)
    for row in rows:
        assert row["answers"]["card"] == answering_pod.CARD
        assert row["answers"]["question-1"] == "calm"
        assert row["answers"]["lyrics"]["sections"][0]["lines"][0]["text"] == "Grey is the harbour"
        assert row["answers"]["lyrics"]["faults"] == ["late"]
        assert (row["error"], row.get("answer_errors"), "caption" in row) == (None, None, False)
    if name == "texts":
        texts = {path.name for path in (tmp_path / name).glob("0.*")}
        assert texts == {"0.card.json", "0.lyrics.txt", "0.lrc", "0.question-1.txt"}
    assert num_sent <= NUM_SONGS + NUM_SONGS // 2 + 4, "what was recorded was not sent again"


def test_each_field_of_a_recipe_is_a_column_of_its_own(songs, tmp_path):
    args = ["songs", "-o", "out.parquet", *ASKED, "--pooling", "mean"]
    assert batch_processes.run(*args, cwd=tmp_path, pod=AnsweringPod())[0] == 0

    file = parquet.ParquetFile(tmp_path / "out.parquet")
    table = file.read(columns=["answers.card.bpm", "embedding"])
    assert table.num_rows == NUM_SONGS
    assert table.column("answers").combine_chunks().field("card").field("bpm").to_pylist()[0] == 90
    fields = parquet.read_schema(tmp_path / "out.parquet").field("answers").type
    assert str(fields.field("card").type.field("genre").type) == "list<element: string>"


def test_a_question_that_fails_is_recorded_and_counted_beside_the_other_answers(songs, tmp_path):
    asked = ["--task", "analyze", "-r", "card", "-q", "fail", "-q", "cut"]
    args = ["songs", "-o", "out.parquet", *asked]

    status, out, _ = batch_processes.run(*args, cwd=tmp_path, pod=AnsweringPod())

    assert status == ExitStatus.ITEMS_FAILED
    assert out.startswith(f"0 done, {NUM_SONGS} failed; ")
    message = "1 of 3 questions failed: question-1: the answer is not complete"
    assert f"failed: 0.mp3: {message}\n" in out
    row = parquet.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert row["error"] == {"code": "answers_failed", "message": message, "request_id": None}
    assert row["answers"]["card"]["bpm"] == 90
    assert row["answers"]["question-1"] is None
    (error,) = row["answer_errors"]
    assert (error["name"], error["code"], error["content"]) == (
        "question-1",
        "answer_incomplete",
        "ca",
    )
    assert row["cut_answers"] == ["question-2"]
    pod = AnsweringPod()
    assert batch_processes.run(*args, cwd=tmp_path, pod=pod)[0] == ExitStatus.ITEMS_FAILED
    assert pod.received == []
    assert batch_processes.run(*args, "--retry-failed", cwd=tmp_path, pod=pod)[0] == status
    assert len(pod.received) == NUM_SONGS, "failed questions are asked again when that is wanted"


def test_a_changed_recipe_of_the_fleet_does_not_mix_columns(songs, tmp_path):
    args = ["songs", "-o", "out.parquet", *ASKED]
    assert batch_processes.run(*args, cwd=tmp_path, pod=AnsweringPod())[0] == 0
    changed = AnsweringPod()
    changed.recipes = tuple(
        one.model_copy(update={"json_schema": None}) if one.name == "card" else one
        for one in answering_pod.RECIPES
    )
    status, _, err = batch_processes.run(*args, cwd=tmp_path, pod=changed)
    assert status == ExitStatus.INVALID_CONFIGURATION
    assert "the questions or recipes have changed" in err


def test_the_probabilities_of_all_labels_are_columns(songs, tmp_path):
    moods = "name: moods\nkind: many\nquestion: It is {label}.\nlabels: [calm, loud]\n"
    (tmp_path / "moods.yaml").write_text(moods)
    args = ["songs", "-o", "o.parquet", "--task", "tag", "--taxonomy", "moods.yaml"]
    pod = DecidingPod()
    others = ["--taxonomy", "voice", "--orders", "2"]

    status, out, err = batch_processes.run(*args, *others, cwd=tmp_path, pod=pod)

    assert (status, pod.asked["orders"]) == (0, 2), out + err
    rows = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert rows[0]["tag_probabilities"]["moods"] == {"calm": 0.0, "loud": pytest.approx(0.1)}
    assert sum(rows[0]["tag_probabilities"]["voice"].values()) == pytest.approx(1)
    status, _, err = batch_processes.run(*args, cwd=tmp_path, pod=DecidingPod())
    assert status == ExitStatus.INVALID_CONFIGURATION
    assert "the questions or recipes have changed" in err, "other taxonomies are another batch"
