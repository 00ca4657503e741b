"""`flamingo batches list|get|create|cancel|output|errors` as processes, before a real service."""

import json

import pytest
from fakes import command_line, pods, processes
from fakes.batch_service import create, question, wait

from flamingo_common import errors
from flamingo_common.service.exit_status import ExitStatus

QUICK = ("--interval", "0.1")
on_sqlite = pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
"""Databases have tests of their own."""


@pytest.fixture
def flamingo(shared, client, tmp_path):
    """Run `flamingo batches args…` with the key of the test."""

    def run(*args, **more):
        environ = {"FLAMINGO_API_KEY": client.api_key, "TZ": "UTC"}
        url = shared[0].running.address
        return command_line.flamingo(
            "batches", *args, environ=environ, url=url, cwd=tmp_path, **more
        )

    return run


def written(folder, lines):
    path = folder / "lines.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts))
    return path.name


@on_sqlite
def test_a_file_of_requests_becomes_a_batch_whose_responses_are_saved(flamingo, tmp_path):
    assert flamingo("list").lines == ["no batches"]
    name = written(tmp_path, [question(number) for number in range(3)])

    created = flamingo("create", name, "--metadata", "album=Blue")
    (batch_id,) = created.lines
    assert created.errors == [
        f"flamingo: created; to follow it: flamingo batches get {batch_id} --wait"
    ]
    waited = flamingo("get", batch_id, "--wait", *QUICK)
    assert waited.status == 0, waited
    assert waited.errors[-1] == f"{batch_id}: completed, 3/3 done"
    assert "metadata     album=Blue" in [line.strip() for line in waited.lines]
    header, row = flamingo("list", "--watch").lines
    assert header.split() == ["id", "status", "done", "failed", "created", "expires"]
    assert row.split()[:4] == [batch_id, "completed", "3/3", "0"]

    printed = flamingo("output", batch_id)
    assert sorted(json.loads(line)["custom_id"] for line in printed.lines) == [
        f"line-{number}" for number in range(3)
    ]
    saved = flamingo("output", batch_id, "-o", "out.jsonl")
    assert (saved.status, saved.lines) == (0, [])
    assert (tmp_path / "out.jsonl").read_bytes() == printed.out
    none = flamingo("errors", batch_id)
    assert (none.status, none.out) == (0, b"")
    assert none.errors == [f"flamingo: no line of {batch_id} failed"]
    again = flamingo("cancel", batch_id)
    assert (again.status, "cannot be cancelled" in str(again.err)) == (1, True)
    (listed,) = json.loads(flamingo("list", "--json").out)["data"]
    assert listed == json.loads(flamingo("get", batch_id, "--json").out)


@on_sqlite
def test_failed_lines_are_counted_and_the_exit_status_says_so(flamingo, behind, tmp_path):
    behind.failures = {"question 1 ": [errors.InvalidAudio("not audio")]}
    name = written(tmp_path, [question(number) for number in range(3)])
    created = flamingo("create", name, "--wait", *QUICK)
    assert created.status == ExitStatus.ITEMS_FAILED, created
    batch_id = created.errors[0].removeprefix("created ")
    assert created.errors[-1].endswith(f"to see what failed: flamingo batches errors {batch_id}")
    (failed,) = flamingo("errors", batch_id).lines
    assert json.loads(failed)["custom_id"] == "line-1"


@on_sqlite
def test_faults_of_the_file_have_the_numbers_of_their_lines(flamingo, tmp_path):
    name = written(tmp_path, [question(0), "nonsense", question(0)])
    created = flamingo("create", name, "--wait", *QUICK)
    assert created.status == 1
    shown = [line for line in created.errors if line.startswith("flamingo: line")]
    assert [line[:16] for line in shown] == ["flamingo: line 2", "flamingo: line 3"]
    batch_id = created.errors[0].removeprefix("created ")
    faults = [json.loads(line) for line in flamingo("errors", batch_id).lines]
    assert [fault["line"] for fault in faults] == [2, 3]
    output = flamingo("output", batch_id)
    assert output.status == 1
    assert "no line has a response; see what failed with `flamingo batches errors" in str(
        output.err
    )


@on_sqlite
def test_a_batch_in_progress_is_watched_cancelled_and_has_no_files_yet(flamingo, behind, client):
    behind.blocked_text = "question"
    batch = create(client, [question(0)])
    wait(client, batch.id, lambda found: found.status == "in_progress")
    early = flamingo("output", batch.id)
    assert early.status == 1
    assert f"{batch.id}: in_progress, 0/1 done; its files are written when it ends" in str(
        early.err
    )
    assert "in 23 h" in flamingo("list").lines[1]

    cancelled = flamingo("cancel", batch.id)
    assert cancelled.status == 0, cancelled
    behind.unblock()
    waited = flamingo("get", batch.id, "--wait", *QUICK)
    assert waited.status == ExitStatus.BATCH_INCOMPLETE
    assert flamingo("list", "--watch", *QUICK).lines[1].split()[1] == "cancelled"


@on_sqlite
def test_as_many_as_are_wanted_are_listed_the_newest_first(flamingo, client):
    ids = [create(client, [question(number)]).id for number in range(3)]
    for one in ids:
        wait(client, one)
    assert [line.split()[0] for line in flamingo("list", "-L", "2").lines[1:]] == ids[:0:-1]


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (
            ("get", "batch_1"),
            1,
            "the batch 'batch_1' does not exist or you do not have access to it",
        ),
        (("create", "gone.jsonl"), 2, "gone.jsonl' does not exist"),
        (("create", "lines.jsonl", "--metadata", "x"), 2, "is not NAME=VALUE"),
        (("create", "lines.jsonl", "--endpoint", "/v1/x"), 1, "endpoint: "),
        (("create", "text.jsonl"), 2, "line 1: not a request"),
        (("create", "empty.jsonl"), 2, "empty.jsonl is empty"),
        (("output", "batch_1", "-o", "gone/o.jsonl"), 1, "does not exist or you do not"),
    ],
)
@on_sqlite
def test_mistakes_are_one_line_that_says_what_is_wrong(flamingo, tmp_path, args, status, message):
    written(tmp_path, [question(0)])
    (tmp_path / "text.jsonl").write_text("hello\n")
    (tmp_path / "empty.jsonl").touch()
    found = flamingo(*args)
    assert found.status == status
    assert message in " ".join(found.err.decode().replace("│", " ").split()), found.err


def test_without_the_service_its_setting_is_named(tmp_path):
    with pods.served(pods.FakePod()) as pod:
        router = processes.service("flamingo_router", "--endpoint", pod, log=tmp_path / "log")
        with router as running:
            processes.wait_until_ready(running)
            for url in (pod, running.address):
                found = command_line.flamingo("batches", "list", url=url)
                assert found.status == 1
                assert f"{url} has no service of batches" in found.errors[0]
                assert "--batches-url" in found.errors[0]
