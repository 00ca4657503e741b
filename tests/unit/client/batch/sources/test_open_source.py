"""What a SOURCE of the command line is."""

import asyncio
import json
import os

import pytest
from aiohttp import web
from fakes import song_archives

from flamingo.batch.sources.kinds import Kind
from flamingo.batch.sources.open_source import SourceOptions, open_source
from flamingo_common.errors import BadRequest


@pytest.fixture
def songs(tmp_path, monkeypatch):
    for name in ("a.mp3", "b/c.FLAC", "b/notes.txt", "b/.d.mp3"):
        path = tmp_path / "songs" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"audio")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "songs"


def keys(*places, **options):
    return [one.key for one in open_source(*places, options=SourceOptions(**options)).items()]


def test_a_folder_is_its_audio_files(songs):
    assert keys("songs") == ["a.mp3", "b/c.FLAC"]
    assert keys(str(songs)) == ["a.mp3", "b/c.FLAC"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("songs/*.mp3", ["a.mp3"]),
        ("songs/**/*.FLAC", ["b/c.FLAC"]),
        ("songs/**", ["a.mp3", "b/c.FLAC"]),
        ("songs/?/c.*", ["b/c.FLAC"]),
        ("songs/[!b].mp3", ["a.mp3"]),
        ("songs/**/[ac].*", ["a.mp3", "b/c.FLAC"]),
    ],
)
def test_a_pattern_is_the_audio_files_that_match(songs, pattern, expected):
    assert keys(pattern) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(songs):
    (songs / "[live].mp3").write_bytes(b"audio")
    assert keys("songs/[live].mp3") == ["songs/[live].mp3"]


def test_several_clips_are_a_list(songs):
    assert keys("songs/a.mp3", "https://example.org/b.mp3") == [
        "songs/a.mp3",
        "https://example.org/b.mp3",
    ]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "tar"])
def test_a_table_or_tar_file_is_known_by_its_contents_whatever_its_name(songs, kind):
    contents = {
        "jsonl": b'{"path": "a.mp3"}\n',
        "csv": b"path\na.mp3\n",
        "tar": song_archives.tar(("1.mp3", b"x")),
    }
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pytest.importorskip("pyarrow").table({"path": ["a.mp3"]})
        parquet.write_table(table, songs / "list.bin")
    else:
        suffix = "csv" if kind == "csv" else "bin"  # plain text has nothing else
        (songs / f"list.{suffix}").write_bytes(contents[kind])
    [found] = keys(*(str(path) for path in songs.glob("list.*")))
    assert found.startswith(("list.", "1"))


def test_a_folder_with_metadata_is_audiofolder_and_its_other_files_are_not_listed(songs):
    (songs / "metadata.jsonl").write_text(json.dumps({"file_name": "a.mp3", "text": "x"}) + "\n")
    [item] = open_source("songs").items()
    assert (item.key, item.columns["text"]) == ("a.mp3", "x")
    assert keys("songs", kind=Kind.FOLDER) == ["a.mp3", "b/c.FLAC"]


def test_metadata_of_splits_is_found_in_their_folders(songs):
    for split in ("test", "train"):
        (songs / split).mkdir()
        (songs / split / "metadata.csv").write_text("file_name\n1.mp3\n")
    assert keys("songs", kind=Kind.AUDIOFOLDER) == ["test/1.mp3", "train/1.mp3"]


def test_tar_files_of_a_folder_or_pattern_are_one_source(songs):
    for number in (2, 1):
        content = song_archives.tar((f"{number}.mp3", b"x"))
        (songs / f"shard-{number}.tar").write_bytes(content)
    assert keys("songs/*.tar") == ["1", "2"]
    assert keys("songs", kind=Kind.WEBDATASET) == ["1", "2"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("gone", "gone: no such file or folder"),
        ("songs/*.wav", "no audio files; it is empty, or nothing in it matches"),
        ("ftp://example.org/songs", "ftp:// is not supported; use s3, gs, az, https, or a path"),
    ],
)
def test_what_is_not_there_is_refused(songs, place, message):
    with pytest.raises(BadRequest) as caught:
        keys(place)
    assert message in str(caught.value)


def test_a_folder_without_audio_says_what_it_has(tmp_path):
    for name in ("1.tar", "2.tar", "README.md"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadRequest, match=r"\(2 webdataset, 1 md\); did you mean --format webdat"):
        keys(str(tmp_path))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="no audio files; it is empty"):
        keys(str(tmp_path))


def test_a_folder_or_table_among_several_sources_is_refused(songs):
    with pytest.raises(BadRequest, match="is a folder; it must be the only source"):
        keys("songs/a.mp3", "songs")
    with pytest.raises(BadRequest, match=r"several sources must all be clips, and l.csv is not"):
        keys("songs/a.mp3", "l.csv")


def test_names_with_bytes_that_are_not_utf8_are_listed(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.mp3")).write_bytes(b"x")
    assert keys(str(tmp_path)) == [os.fsdecode(b"caf\xe9.mp3")]


def test_a_folder_is_the_same_source_however_it_is_named(songs):
    names = ["songs", "songs/", "./songs", "songs/../songs", str(songs)]
    prints = {open_source(name).fingerprint() for name in names}
    assert prints == {f"folder {songs}"}


def test_tables_and_tar_files_of_a_web_server_are_read_where_they_are(songs):
    (songs / "ü 1.mp3").write_bytes(b"ID3")
    (songs / "list of songs.jsonl").write_text('{"path": "ü 1.mp3"}')
    (songs / "s.tar").write_bytes(song_archives.tar(*song_archives.sample("1")))

    def read(url):
        source = open_source(url)
        return {item.key: source.audio(item) for item in source.items()}

    async def scenario():
        app = web.Application()
        app.router.add_static("/", songs.parent)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        root = f"http://127.0.0.1:{runner.addresses[0][1]}/songs"
        try:
            paths = ("list%20of%20songs.jsonl", "s.tar")
            return [await asyncio.to_thread(read, f"{root}/{path}") for path in paths]
        finally:
            await runner.cleanup()

    assert asyncio.run(scenario()) == [{"list of songs.jsonl:1": b"ID3"}, {"1": b"fLaC 1"}]


def test_a_presigned_url_of_a_table_is_refused_and_one_of_a_clip_is_kept():
    with pytest.raises(BadRequest, match=r"/l.jsonl: a table or tar file") as caught:
        keys("https://me:pw@example.org/l.jsonl?sig=s3cret")
    assert "s3cret" not in str(caught.value)
    clip = "https://example.org/a.mp3?sig=s3cret"
    assert keys(clip) == ["https://example.org/a.mp3"]
    source = open_source(clip)
    assert [source.audio(item) for item in source.items()] == [clip]
