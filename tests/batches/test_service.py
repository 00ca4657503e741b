"""What a client of OpenAI gets: files, batches, their states, results, limits and owners."""

import base64
import json
import sqlite3

import openai
import pytest
from fakes import key_files
from fakes.batch_service import (
    CAPTIONS,
    CHAT,
    assert_exact,
    create,
    lines_of,
    question,
    upload,
    wait,
)
from fakes.echo_fleet import EchoFleet

from flamingo_common.errors import BadRequest, Overloaded, UpstreamLost

CLIP = b"RIFF\x00\xff" * 1000


def test_files_are_kept_listed_and_deleted(client):
    expires_after = {"anchor": "created_at", "seconds": 3600}
    first = client.files.create(
        file=("../a/b.jsonl", b"{}\n"), purpose="batch", expires_after=expires_after
    )
    assert (first.filename, first.bytes, first.status) == ("b.jsonl", 3, "processed")
    assert first.expires_at == first.created_at + 3600
    clips = [client.files.create(file=("c.wav", CLIP), purpose="user_data") for _ in range(3)]
    assert clips[0].expires_at is None
    newest_first = [clips[2].id, clips[1].id, clips[0].id, first.id]
    assert [file.id for file in client.files.list(limit=2)] == newest_first  # in two pages
    assert [file.id for file in client.files.list(order="asc")] == newest_first[::-1]
    assert [file.id for file in client.files.list(purpose="batch")] == [first.id]
    page = client.files.list(limit=1, after=clips[1].id)
    assert ([file.id for file in page.data], page.has_more) == ([clips[0].id], True)
    assert client.files.retrieve(first.id) == first
    assert client.files.content(clips[0].id).read() == CLIP
    assert client.files.delete(clips[0].id).deleted
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="does not exist or you do not have"):
            gone(clips[0].id)


def test_a_batch_has_the_states_counts_and_files_of_openai(client, behind):
    behind.failures["question 3"] = [BadRequest("no such key", param="messages")]
    lines = [question(number, max_tokens=5) for number in range(10)]
    created = create(client, lines, metadata={"album": "Blue"})
    assert (created.status, created.object) == ("validating", "batch")
    batch = wait(client, created.id)
    assert (batch.status, batch.metadata, batch.endpoint) == ("completed", {"album": "Blue"}, CHAT)
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (10, 9, 1)
    times = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    assert times == sorted(times)
    assert batch.expires_at == batch.created_at + 24 * 3600
    usage = batch.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (27, 18, 45)
    assert usage.input_tokens_details.cached_tokens == 9
    assert usage.output_tokens_details.reasoning_tokens == 9
    output = lines_of(client, batch.output_file_id)
    assert {each["response"]["status_code"] for each in output} == {200}
    assert {each["response"]["request_id"] for each in output} <= set(behind.arrived)
    (error,) = lines_of(client, batch.error_file_id)
    assert error["custom_id"] == "line-3"
    assert (error["response"]["status_code"], error["error"]) == (400, None)
    assert error["response"]["body"]["error"]["message"] == "no such key"
    file = client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert {headers["x-flamingo-priority"] for headers in behind.headers} == {"low"}
    assert [each.id for each in client.batches.list(limit=1)] == [batch.id]


def test_all_faults_of_an_input_are_reported_with_their_lines(client):
    lines = [
        question(1),
        "not JSON",
        {**question(2), "method": "GET", "url": "/v1/moderations"},
        question(1),
        question(4, stream=True, temperature=7, tempe=1),
    ]
    batch = wait(client, create(client, lines).id)
    assert (batch.status, batch.request_counts.total) == ("failed", 5)
    assert [(each.line, each.code, each.param) for each in batch.errors.data] == [
        (2, "invalid_json_line", None),
        (3, "invalid_method", "method"),
        (3, "mismatched_url", "url"),
        (4, "duplicate_custom_id", "custom_id"),
        (5, "invalid_body", "body.stream"),
        (5, "unknown_parameter", "body.tempe"),
    ]
    assert "temperature" in batch.errors.data[-1].message


def test_clips_are_put_into_lines_by_their_file_id(client, behind):
    clips = [
        client.files.create(file=("a.wav", CLIP + bytes([n])), purpose="user_data") for n in (1, 2)
    ]
    lines = [
        {**question(number), "url": CAPTIONS, "body": {"audio": {"file_id": clips[number % 2].id}}}
        for number in range(8)
    ]
    batch = wait(client, create(client, lines, CAPTIONS).id)
    assert batch.request_counts.completed == 8
    sent = [base64.b64decode(body["audio"]["data"])[-1] for body in behind.bodies]
    assert sorted(sent) == [1] * 4 + [2] * 4
    part = {"type": "file", "file": {"file_id": clips[0].id}}
    lines = [question(1) | {"body": {"messages": [{"role": "user", "content": [part]}]}}]
    batch = wait(client, create(client, lines).id)
    (content,) = behind.bodies[-1]["messages"][0]["content"]
    assert base64.b64decode(content["input_audio"]["data"]) == CLIP + b"\x01"


def test_what_the_fleet_refuses_or_loses_is_sent_again(client, behind):
    behind.failures["question 1"] = [Overloaded("full", retry_after_s=0.01), None, UpstreamLost("")]
    behind.failures["question 2"] = [UpstreamLost("gone")] * 5
    lines = [question(number) for number in (1, 2, 3)]
    batch = wait(client, create(client, lines).id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    assert sorted(behind.arrived.values()) == [1, 4, 5]
    (error,) = lines_of(client, batch.error_file_id)
    assert error["response"]["body"]["error"]["code"] == "upstream_lost"


def test_a_cancelled_batch_has_the_results_until_then(client, behind):
    behind.blocked_text = "blocked"
    lines = [question(number, "" if number < 3 else "blocked") for number in range(8)]
    created = create(client, lines)
    wait(client, created.id, lambda batch: batch.request_counts.completed == 3)
    assert client.batches.cancel(created.id).status in {"cancelling", "cancelled"}
    batch = wait(client, created.id)
    assert batch.status == "cancelled"
    assert batch.cancelling_at <= batch.cancelled_at
    assert len(lines_of(client, batch.output_file_id)) == 3
    rest = lines_of(client, batch.error_file_id)
    assert {each["error"]["code"] for each in rest} == {"batch_cancelled"}
    assert len(rest) == 5
    other = create(client, [question(1)])
    wait(client, other.id)
    with pytest.raises(openai.BadRequestError, match="completed cannot be cancelled"):
        client.batches.cancel(other.id)


def test_a_batch_expires_with_the_results_until_then(fleet, replica, tmp_path):
    fleet.blocked_text = "blocked"
    service = replica(fleet.address, f"sqlite:///{tmp_path}/batches.db")
    client = service.start()
    lines = [question(number, "" if number < 3 else "blocked") for number in range(5)]
    created = create(client, lines)
    wait(client, created.id, lambda batch: batch.request_counts.completed == 3)
    service.kill()
    with sqlite3.connect(tmp_path / "batches.db") as connection:
        connection.execute("UPDATE batches SET expires_at = 1")
    client = service.start()
    batch = wait(client, created.id)
    assert (batch.status, batch.request_counts.failed) == ("expired", 2)
    assert {each["error"]["code"] for each in lines_of(client, batch.error_file_id)} == {
        "batch_expired"
    }


def test_a_key_has_files_and_batches_of_its_own(fleet, replica, tmp_path):
    key_file = tmp_path / "keys"
    key_file.write_text(json.dumps(key_files.FILE))
    flags = ("--key-file", str(key_file), "--server-key", "fk-service")
    limits = ("--max-active-batches-per-key", "1", "--max-stored-bytes-per-key", "4000")
    service = replica(
        fleet.address, f"sqlite:///{tmp_path}/b.db", *flags, *limits, key=key_files.ALICE
    )
    alice = service.start()
    bob = alice.with_options(api_key=key_files.BOB, max_retries=0)
    fleet.blocked_text = "question"
    created = create(alice, [question(1)])
    for refused in (
        lambda: bob.files.retrieve(created.input_file_id),
        lambda: bob.files.content(created.input_file_id),
        lambda: bob.batches.retrieve(created.id),
        lambda: bob.batches.cancel(created.id),
    ):
        with pytest.raises(openai.NotFoundError):
            refused()
    assert (list(bob.files.list()), list(bob.batches.list())) == ([], [])
    with pytest.raises(openai.BadRequestError, match="does not exist or you do not have"):
        bob.batches.create(
            input_file_id=created.input_file_id, endpoint=CHAT, completion_window="24h"
        )
    impatient = alice.with_options(max_retries=0)
    with pytest.raises(openai.RateLimitError, match="not finished"):
        create(impatient, [question(2)])
    with pytest.raises(openai.RateLimitError, match="would exceed 4000 bytes"):
        impatient.files.create(file=("a.wav", CLIP), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="cancel the batch first"):
        impatient.files.delete(created.input_file_id)
    with pytest.raises(openai.AuthenticationError):
        bob.with_options(api_key="none").files.list()
    fleet.unblock()
    wait(alice, created.id)
    assert {headers["authorization"] for headers in fleet.headers} == {"Bearer fk-service"}


def test_while_the_router_is_down_lines_wait(replica, tmp_path):
    fleet = EchoFleet()
    with fleet.serving():
        address = fleet.address  # where nothing listens afterwards
    service = replica(address, f"sqlite:///{tmp_path}/b.db")
    client = service.start()
    created = create(client, [question(1)])
    wait(client, created.id, lambda batch: batch.status == "in_progress")
    service.stop()
    with fleet.serving():
        service.flags = (*service.flags, "--server-url", fleet.address)
        client = service.start()
        assert_exact(client, wait(client, created.id), [question(1)])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"endpoint": "/v1/completions"}, "endpoint: must be '/v1/chat/completions'"),
        ({"completion_window": "48h"}, "completion_window: must be '24h'"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"extra_body": {"prompt": 1}}, "prompt"),
    ],
)
def test_an_invalid_request_is_refused_at_once(client, fields, message):
    asked = {"endpoint": CHAT, "completion_window": "24h"} | fields
    with pytest.raises(openai.BadRequestError, match=message):
        client.batches.create(input_file_id="file-1", **asked)


def test_an_upload_is_refused_by_its_purpose_size_and_fields(client):
    with pytest.raises(openai.BadRequestError, match="purpose: must be 'batch' or 'user_data'"):
        client.files.create(file=b"x", purpose="fine-tune")
    with pytest.raises(openai.APIStatusError, match="exceeds the limit of 100000 bytes") as raised:
        client.files.create(file=b"x" * 200_000, purpose="user_data")
    assert raised.value.status_code == 413
    with pytest.raises(openai.BadRequestError, match="limit: must be a whole number"):
        client.files.list(limit=0)
    with pytest.raises(openai.BadRequestError, match=r"limit: must be a whole number .*, not text"):
        client.files.list(extra_query={"limit": "1_0"})
    assert list(client.files.list()) == []
    clip = client.files.create(file=b"x", purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="the file has the purpose 'user_data'"):
        client.batches.create(input_file_id=clip.id, endpoint=CHAT, completion_window="24h")
    client.files.delete(clip.id)


def test_a_batch_with_too_many_lines_fails(client):
    file_id = upload(client, [question(number) for number in range(13)])
    created = client.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")
    (fault,) = wait(client, created.id).errors.data
    assert (fault.code, fault.line) == ("too_many_lines", None)
    empty = client.files.create(file=("a.jsonl", b"\n \n"), purpose="batch")
    created = client.batches.create(input_file_id=empty.id, endpoint=CHAT, completion_window="24h")
    assert wait(client, created.id).errors.data[0].code == "empty_file"
