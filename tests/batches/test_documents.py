"""What the page about batches shows, on a fleet that `flamingo up` starts, with a real pod."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from documents.selections import BATCHES, LOCAL
from fakes import batch_service
from fakes.patience import PATIENCE_S

from flamingo import FlamingoClient

FLAMINGO = str(Path(sys.executable).with_name("flamingo"))
ANALYZE = "/v1/audio/analyze"
SMALL = ("--pods", "1", "--port", "0")


@pytest.fixture
def examples():
    up, *commands = [one.text for one in BATCHES.commands() if one.language == "sh"]
    (program,) = [one.text for one in BATCHES.commands() if one.language == "python"]
    return up, program, commands


@pytest.fixture
def start(tmp_path, clips):
    (tmp_path / "song.mp3").write_bytes(clips["notes.mp3"])
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    started = []

    def run(command):
        process = subprocess.Popen(
            [*command.split(), *SMALL], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        for line in process.stdout:
            if found := re.match(r"The fleet is ready at (\S+)", line):
                return found[1]
        raise AssertionError("the fleet is not ready")

    yield run
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


def test_the_example_of_the_page_prints_a_caption_for_each_line(examples, start, tmp_path):
    up, program, commands = examples
    address = start(up)
    done = subprocess.run(
        [sys.executable, "-c", program.replace(LOCAL, address)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *captions = done.stdout.splitlines()
    assert first == "completed None"
    named = {line.partition(" → ")[0] for line in captions if " → " in line}
    assert named == {"brief caption", "technical caption"}
    assert (tmp_path / "batches" / "batches.db").exists()
    curls = [one for one in commands if one.startswith("curl")]
    check_curls(curls, address, tmp_path)
    check_commands([one for one in commands if one not in curls], address, tmp_path)


def check_curls(curls, address, folder):
    """Run the requests of the page, each with what the ones before it have returned."""
    ids = {}
    answer = ""
    for curl in curls:
        if "OUTPUT" in curl:  # the batch may still have work left
            with FlamingoClient(address) as client:
                ids["OUTPUT"] = client.batches.wait(ids["BATCH"]).output_file_id
        for name, value in ids.items():
            curl = curl.replace(name, value)  # noqa: PLW2901 - the reader does the same
        answer = output_of(curl.replace(LOCAL, address), folder)
        if "OUTPUT" not in ids:
            shown = json.loads(answer)
            ids["FILE" if shown["object"] == "file" else "BATCH"] = shown["id"]
    assert len(answer.splitlines()) == 2


def output_of(command, folder):
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


def check_commands(commands, address, folder):
    """Run the commands of the page on the file that its program has written."""
    batch_id = ""
    for command in commands:
        done = subprocess.run(
            [FLAMINGO, *command.replace("ID", batch_id).split()[1:]],
            cwd=folder,
            env=os.environ | {"FLAMINGO_URL": address, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done
        batch_id = batch_id or re.search(r"batch_\w+", done.stdout)[0]
    assert len((folder / "results.jsonl").read_text().splitlines()) == 2


def test_lines_with_questions_are_answered_by_a_real_pod(examples, start, clips):
    address = start(examples[0])
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none")
    clip = client.files.create(file=("notes.mp3", clips["notes.mp3"]), purpose="user_data")
    questions = [
        {"name": "lyrics", "recipe": "lyrics", "max_tokens": 4},
        {"name": "cut", "recipe": "card", "max_tokens": 1},
        {"name": "live", "decisions": [{"type": "predicate", "instructions": "It is live."}]},
    ]
    body = {"audio": {"file_id": clip.id}, "questions": questions}
    unknown = {**body, "questions": [{"name": "a", "recipe": "unknown"}]}
    lines = [
        {"custom_id": str(at), "method": "POST", "url": ANALYZE, "body": each}
        for at, each in enumerate([body, unknown])
    ]

    batch = batch_service.wait(client, batch_service.create(client, lines, ANALYZE).id)

    counts = batch.request_counts
    assert (batch.status, counts.completed, counts.failed) == ("completed", 1, 1)
    (output,) = batch_service.lines_of(client, batch.output_file_id)
    answers = output["response"]["body"]["answers"]
    assert "sections" in answers["lyrics"]
    assert answers["cut"]["error"]["code"] == "answer_incomplete"
    assert 0 <= answers["live"]["decisions"][0]["probability"] <= 1
    (error,) = batch_service.lines_of(client, batch.error_file_id)
    assert error["response"]["body"]["error"]["param"] == "questions[0].recipe"
