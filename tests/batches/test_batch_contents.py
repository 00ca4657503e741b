"""Contents and clips in buckets of a real server of S3."""

import base64

import obstore
import openai
import pytest
from fakes import s3_server
from fakes.batch_service import CAPTIONS, BatchService, create, lines_of, question, wait
from obstore.store import from_url

CLIP = b"RIFF\x00\xff" * 1000


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3"), "songs", "batches") as environ:
        yield environ


@pytest.fixture
def service(fleet, s3, tmp_path):
    stores = ("--database-url", f"sqlite:///{tmp_path}/b.db", "--contents-url", "s3://batches/a")
    flags = ("--server-url", fleet.address, *stores, "--clip-source", "s3://songs/public")
    made = BatchService(tmp_path, flags, environ=s3)
    made.start()
    yield made
    made.stop()


def bucket(url, s3, monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return from_url(url)


def test_contents_are_in_a_bucket_and_clips_in_another(service, fleet, s3, monkeypatch):
    songs = bucket("s3://songs", s3, monkeypatch)
    obstore.put(songs, "public/a.wav", CLIP)
    client = service.client
    kept = client.files.create(file=("b.wav", CLIP[::-1]), purpose="user_data")
    clips = [{"url": "s3://songs/public/a.wav"}, {"file_id": kept.id}]
    lines = [
        {**question(number), "url": CAPTIONS, "body": {"audio": clips[number % 2]}}
        for number in range(40)
    ]
    batch_id = create(client, lines, CAPTIONS).id
    fleet.wait_for(10)
    service.kill()
    client = service.start()
    batch = wait(client, batch_id)
    answered = [each["custom_id"] for each in lines_of(client, batch.output_file_id)]
    assert sorted(answered) == sorted(line["custom_id"] for line in lines)
    sent = {base64.b64decode(body["audio"]["data"]) for body in fleet.bodies}
    assert sent == {CLIP, CLIP[::-1]}
    contents = obstore.list(bucket("s3://batches/a", s3, monkeypatch))
    paths = [each["path"] for some in contents for each in some]
    assert sorted(paths) == sorted(f"files/{file.id}" for file in client.files.list())
    client.files.delete(kept.id)
    with pytest.raises(openai.NotFoundError):
        client.files.content(kept.id)


def test_a_clip_that_is_missing_or_not_allowed_is_an_error_of_its_line(service):
    client = service.client

    def line(url):
        return {**question(1), "url": CAPTIONS, "body": {"audio": {"url": url}}}

    for url in ("s3://songs/public/none", "s3://songs/public/../private/a.wav"):
        batch = wait(client, create(client, [line(url)], CAPTIONS).id)
        (error,) = lines_of(client, batch.error_file_id)
        assert error["error"] == {
            "code": "clip_not_found",
            "message": f"the clip {url} does not exist",
        }
    batch = wait(client, create(client, [line("s3://songs/private/a.wav")], CAPTIONS).id)
    assert [each.code for each in batch.errors.data] == ["clip_not_allowed"]
