"""Batches from and to a real server of S3."""

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from documents.selections import BUCKETS
from fakes import batch_processes, pods, s3_server, song_archives
from fakes.batch_processes import NUM_SONGS
from fakes.patience import PATIENCE_S
from pyarrow import parquet

from flamingo.batch.sources.open_source import SourceOptions, open_source
from flamingo.batch.storage import bucket
from flamingo.batch.storage.storage import StorageFailed

pytestmark = pytest.mark.xdist_group("s3")


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3"), "songs", "captions") as found:
        yield found


@pytest.fixture
def s3(environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return bucket.open_url("s3://songs")


def audio_of(place, **options):
    source = open_source(place, options=SourceOptions(**options))
    return {item.key: source.audio(item) for item in source.items()}


def rows_of(storage, prefix):
    for file in storage.walk(prefix):
        if file.name.endswith(".parquet"):
            with storage.open(file.name) as opened:
                yield from parquet.read_table(opened).to_pylist()


def test_a_batch_in_a_bucket_that_was_killed_is_continued(s3, environ, tmp_path):
    names = [f"{number % 2}/{number}.mp3" for number in range(NUM_SONGS)]
    for name in names:
        s3.write(f"in/{name}", b"ID3, let us say")

    killed, again, _ = batch_processes.killed_and_continued(
        *("s3://songs/in", "-o", "s3://songs/out", "--output-format", "parquet"),
        cwd=tmp_path,
        signals=[signal.SIGKILL],
        environ=environ,
    )

    assert (killed[0], again[0]) == (-signal.SIGKILL, 0), again
    assert "results: s3://songs/out" in again[1]
    rows = [*rows_of(s3, "out")]
    assert sorted(row["key"] for row in rows) == sorted(names)
    assert {row["caption"] for row in rows} == {"a quiet song"}
    assert [file.name for file in s3.walk("out/.flamingo")] == ["out/.flamingo/state.json"]


@pytest.mark.parametrize("text", [text for _, text in BUCKETS.scripts()])
def test_the_commands_of_the_page_work(s3, environ, text):
    s3.write("2024/song.mp3", b"ID3, let us say")
    with pods.served(pods.FakePod()) as address:
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        environ = {**environ, "FLAMINGO_URL": address, "PATH": path}
        subprocess.run(["bash", "-euc", text], env=environ, check=True, timeout=PATIENCE_S)
    [row] = rows_of(bucket.open_url("s3://captions/2024"), "")
    assert (row["key"], row["caption"]) == ("song.mp3", "a quiet song")


def test_folders_patterns_tables_and_tar_files_in_a_bucket_are_sources(s3):
    table = pa.table({"path": ["a.mp3", "s3://songs/any/ü #%20.mp3"], "n": [1, 2]})
    with pa.BufferOutputStream() as sink:
        parquet.write_table(table, sink)
        s3.write("any/list.parquet", sink.getvalue().to_pybytes())
    s3.write("any/a.mp3", b"a")
    s3.write("any/ü #%20.mp3", b"b")
    for number in (1, 2):
        content = song_archives.tar(*song_archives.sample(f"{number}", n=number))
        s3.write(f"any/shard-{number}.tar", content)
    assert audio_of("s3://songs/any") == {"a.mp3": b"a", "ü #%20.mp3": b"b"}
    assert audio_of("s3://songs/an*/?.mp3") == {"any/a.mp3": b"a"}
    assert audio_of("s3://songs/any/a.mp3") == {"a.mp3": b"a"}
    assert list(audio_of("s3://songs/any/list.parquet").values()) == [b"a", b"b"]
    assert audio_of("s3://songs/any/*.tar") == {"1": b"fLaC 1", "2": b"fLaC 2"}


def test_an_object_is_created_once(s3):
    s3.create("once", b"mine")
    s3.create("once", b"mine")
    with pytest.raises(StorageFailed, match="another run writes to the same output"):
        s3.create("once", b"theirs")


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        (
            "s3://gone/in",
            {},
            r"cannot list s3://gone/in.*HTTP 404 Not Found.*bucket does not exist",
        ),
        (
            "s3://songs/in",
            {"access_key_id": "x"},
            r"HTTP 403 Forbidden.*AWS_ACCESS_KEY_ID, AWS_SEC",
        ),
    ],
)
def test_a_bucket_that_cannot_be_used_is_named_with_the_reason(s3, url, options, reason):
    with pytest.raises(StorageFailed, match=reason):
        list(bucket.open_url(url, **options).walk())
