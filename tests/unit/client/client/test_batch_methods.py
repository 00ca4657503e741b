"""Batches over a real socket."""

import asyncio
import gc
import json
import threading

import numpy as np
import pytest
from fakes import pods
from fakes.deciding_pod import DecidingPod
from fakes.patience import PATIENCE_S

from flamingo import AsyncFlamingoClient, FlamingoClient, open_source
from flamingo_common import errors


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(b"RIFF" + bytes([number]))
    return [str(path) for path in paths]


def done(method, *args, pod=None, **options):
    """Return what a batch yields, and the pod."""
    pod = pod or pods.FakePod()

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            return {key: value async for key, value in getattr(client, method)(*args, **options)}

    return asyncio.run(scenario()), pod


def sent_fields(pod):
    bodies = (received.body for received in pod.received)
    return [json.loads(body[body.index(b"{") : body.index(b"}\r\n--") + 1]) for body in bodies]


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("batch_caption", "captions", {"style": "detailed"}),
        ("batch_embed", "embeddings", {"layer": "encoder", "pooling": "none"}),
        (
            "batch_analyze",
            "analyze",
            {"layer": "encoder", "pooling": "none", "style": "detailed"},
        ),
    ],
)
def test_each_clip_is_sent_with_the_fields_of_the_single_method(paths, method, path, fields):
    results, pod = (
        done(method, paths, max_tokens=7) if method != "batch_embed" else done(method, paths)
    )

    assert sorted(results) == paths
    assert {received.path for received in pod.received} == {f"/v1/audio/{path}"}
    for sent in sent_fields(pod):
        assert fields.items() <= sent.items()
        assert sent.get("max_tokens") == (None if method == "batch_embed" else 7)


def test_a_question_is_asked_about_each_clip(paths):
    results, pod = done("batch_ask", paths, "Which key?", system="Be brief.")

    assert {reply.text for reply in results.values()} == {"a quiet song"}
    roles = [message["role"] for message in sent_fields(pod)[0]["messages"]]
    assert roles == ["system", "user"]


def test_decisions_are_made_about_each_clip(paths):
    questions = [{"type": "predicate", "instructions": "It is live."}]
    results, pod = done("batch_decisions", paths, questions, pod=DecidingPod(), orders=2)

    assert sorted(results) == paths
    assert [each.answers[0].probability for each in results.values()] == [0.0] * 5
    for sent in sent_fields(pod):
        assert (sent["questions"], sent["orders"]) == (questions, 2)


def test_decisions_without_questions_end_the_batch(paths):
    with pytest.raises(errors.BadRequest, match="the questions are missing"):
        done("batch_decisions", paths, pod=DecidingPod())


def test_decisions_are_not_recorded(paths, tmp_path):
    with pytest.raises(TypeError, match="not recorded"):
        done("batch_decisions", paths, [], output_dir=tmp_path)


def test_a_batch_has_low_priority_unless_it_is_given_another(paths):
    _, pod = done("batch_caption", paths)
    assert set(pod.header_values("x-flamingo-priority")) == {"low"}

    _, pod = done("batch_caption", paths, priority="high")
    assert set(pod.header_values("x-flamingo-priority")) == {"high"}


def test_a_clip_that_cannot_be_read_is_an_error_and_the_others_are_processed(paths):
    results, pod = done("batch_caption", [*paths, "/nowhere.wav"])

    assert isinstance(results["/nowhere.wav"], errors.InvalidAudio)
    assert len(pod.received) == 5


def test_a_request_that_the_fleet_refuses_is_sent_again(paths):
    pod = pods.FakePod(fails_with=errors.Overloaded("full", retry_after_s=0), num_failures=7)
    results, pod = done("batch_caption", paths, pod=pod)

    assert sorted(results) == paths
    assert len(pod.received) == 12


def test_results_are_recorded_in_a_folder_and_not_computed_again(paths, tmp_path):
    folder = tmp_path / "out"
    done("batch_analyze", paths, output_dir=folder)
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert sorted(line["key"] for line in lines) == paths
    assert lines[0]["caption"] == "a quiet song"
    assert np.load(folder / lines[0]["embedding_file"]).shape == (2, 2)

    again, pod = done("batch_analyze", paths, output_dir=folder)
    assert again == {}
    assert pod.received == []


def test_fields_of_a_line_replace_those_of_the_batch(paths, tmp_path):
    lines = [{"audio": paths[0], "question": "Which key?"}, {"audio": paths[0], "max_tokens": 3}]
    manifest = tmp_path / "songs.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, pod = done("batch_ask", open_source(str(manifest)), "How fast?", max_tokens=9)

    sent = {fields["messages"][0]["content"]: fields["max_tokens"] for fields in sent_fields(pod)}
    assert sent == {"Which key?": 9, "How fast?": 3}


def test_a_line_without_a_question_is_an_error_of_that_line(paths, tmp_path):
    manifest = tmp_path / "songs.jsonl"
    manifest.write_text(json.dumps({"audio": paths[0], "max_tokens": 3}) + "\n")
    results, _ = done("batch_ask", open_source(str(manifest)))

    assert "the question is missing" in results["songs.jsonl:1"].message


def test_a_folder_and_a_recording_exclude_each_other(paths, tmp_path):
    with pytest.raises(TypeError, match="either an output_dir or a recording"):
        done("batch_caption", paths, output_dir=tmp_path, recording=object())


def test_an_abandoned_batch_cancels_its_requests(paths):
    pod = pods.FakePod(release=asyncio.Event())

    async def scenario():
        async with pods.running(pod) as address, AsyncFlamingoClient(address) as client:
            async with client.batch_caption(paths) as batch:
                first = asyncio.create_task(anext(batch))
                await pod.has_arrived.wait()
                first.cancel()
                await asyncio.wait([first])
            await pod.was_cancelled.wait()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_synchronous_code_iterates_over_it_too(paths, tmp_path):
    with pods.served(pods.FakePod()) as address, FlamingoClient(address) as client:
        batch = client.batch_caption(paths, output_dir=tmp_path / "out")
        assert sorted(path for path, _ in batch) == paths
        assert batch.progress.num_done == 5
        assert list(batch) == []


def test_a_synchronous_batch_can_be_stopped_or_left(paths):
    with pods.served(pods.FakePod()) as address, FlamingoClient(address) as client:
        batch = client.batch_caption(iter(paths), concurrency=1)
        next(batch)
        batch.stop()
        assert len(list(batch)) < 5
        for _ in client.batch_caption(paths):
            break
        with client.batch_caption(paths) as batch:
            next(batch)
        assert client.caption(paths[0]).caption == "a quiet song"
    gc.collect()
    assert not [one for one in threading.enumerate() if one.name == "flamingo-client"]


def test_nothing_is_sent_before_it_is_iterated(paths):
    pod = pods.FakePod()
    with pods.served(pod) as address, FlamingoClient(address) as client:
        client.batch_caption(paths)
        client._thread.run(lambda: asyncio.sleep(0))
    assert pod.received == []
