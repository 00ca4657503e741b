"""Buckets, with obstore's store in memory; `tests/fleet/test_batch_buckets.py` has a server."""

import io

import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from flamingo.batch.storage import bucket
from flamingo.batch.storage.bucket import BucketStorage
from flamingo.batch.storage.storage import StorageFailed
from flamingo_common.errors import InvalidAudio


@pytest.fixture
def storage():
    return BucketStorage(MemoryStore(), "s3://songs/2024")


def test_objects_are_listed_in_the_order_of_their_names_without_hidden_ones(storage):
    for name in ("b/2.mp3", "b/1.mp3", "a.mp3", ".flamingo/state", "b/.x/y.mp3", "zero.mp3"):
        storage.write(name, b"" if name == "zero.mp3" else b"12345")
    listed = [(file.name, file.size_bytes) for file in storage.walk()]
    assert listed == [("a.mp3", 5), ("b/1.mp3", 5), ("b/2.mp3", 5), ("zero.mp3", 0)]
    assert [file.name for file in storage.walk(".flamingo")] == [".flamingo/state"]


def test_a_bucket_is_the_same_with_a_slash_at_its_end():
    named = {BucketStorage(MemoryStore(), url).identity for url in ("s3://a/b", "s3://a/b/")}
    assert named == {"s3://a/b"}


def test_an_object_is_read_in_ranges_at_any_offset(storage):
    storage.write("a.bin", bytes(range(256)) * 8192)
    with storage.open("a.bin") as file:
        assert file.read(3) == b"\0\1\2"
        assert file.seek(-2, io.SEEK_END) == 2097150
        assert file.read() == b"\xfe\xff"
        assert file.read() == b""
        file.seek(1_000_000)
        assert file.read(256) == bytes((1_000_000 + at) % 256 for at in range(256))


def test_an_object_is_created_once_unless_its_contents_are_the_same(storage):
    storage.create("entry", b"mine")
    storage.create("entry", b"mine")
    with pytest.raises(StorageFailed, match="s3://songs/2024/entry: another run writes"):
        storage.create("entry", b"theirs")


def test_a_missing_object_is_no_clip_and_cannot_be_opened(storage):
    assert storage.size_bytes("gone.mp3") is None
    storage.remove("gone.mp3")
    with pytest.raises(InvalidAudio, match=r"s3://songs/2024/gone.mp3: no such object"):
        storage.audio("gone.mp3")
    with pytest.raises(StorageFailed, match=r"cannot read s3://songs/2024/gone.mp3: no such"):
        storage.open("gone.mp3")


def test_a_url_that_is_no_bucket_is_refused():
    with pytest.raises(StorageFailed, match="cannot use az://container"):
        bucket.open_url("az://container/songs")


def test_an_error_is_explained_on_one_line_without_secrets():
    text = (
        "Generic S3 error: Error performing GET http://127.0.0.1:1/songs?sig=s3cret in 3ms - Server"
        " returned non-2xx status code: 403 Forbidden: <?xml?>\n<Error><Message>The key is wrong."
        "</Message></Error>"
    )
    assert bucket.explain(GenericError(text)) == "HTTP 403 Forbidden, The key is wrong"
    lost = "Generic S3 error: Error performing GET http://h/a?sig=s3cret in 3ms - HTTP error: lost"
    assert bucket.explain(GenericError(lost)) == "HTTP error: lost"
    odd = bucket.explain(GenericError("cannot parse https://me:pw@h/a?sig=s3cret\n\nDebug source:"))
    assert odd == "cannot parse https://h/a"
