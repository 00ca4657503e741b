"""Tables that name clips, or contain them."""

import csv
import io
import json
import os

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore
from pyarrow import parquet

from flamingo.batch.items import Item, Malformed
from flamingo.batch.sources import lines
from flamingo.batch.sources.kinds import Kind
from flamingo.batch.sources.tables import TableOptions, TableSource
from flamingo.batch.storage.bucket import BucketStorage
from flamingo.batch.storage.folder import FolderStorage
from flamingo_common.errors import BadRequest, InvalidAudio

ROWS = [
    {"file_name": "a.mp3", "title": "Ünï, “quoted”", "year": 1999},
    {"file_name": "b/曲.mp3", "title": "two\nlines", "year": 2024},
]
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def as_jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows, **options):
    sink = pa.BufferOutputStream()
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    parquet.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def songs(contents, paths=None, **columns):
    """Return a table as Hugging Face writes it."""
    values = [
        None if content is None else {"bytes": content, "path": path}
        for content, path in zip(contents, paths or [None] * len(contents), strict=True)
    ]
    return pa.table({"audio": pa.array(values, AUDIO), **columns})


def source(tmp_path, name, content, **options):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return TableSource(FolderStorage(tmp_path), [name], TableOptions(**options))


def malformed(reader):
    return {one.key: one.message for one in reader.items() if isinstance(one, Malformed)}


@pytest.mark.parametrize(
    ("name", "encode"),
    [("list.jsonl", as_jsonl), ("list.csv", as_csv), ("list.parquet", as_parquet)],
)
def test_the_rows_of_each_kind_of_table_are_the_same_items(tmp_path, name, encode):
    items = list(source(tmp_path, name, encode(ROWS)).items())
    assert [item.location for item in items] == ["a.mp3", "b/曲.mp3"]
    assert [item.columns["title"] for item in items] == [row["title"] for row in ROWS]
    assert [str(item.columns["year"]) for item in items] == ["1999", "2024"]
    lines_ = {"list.csv": [2, 3]}.get(name, [1, 2])
    assert [item.key for item in items] == [f"{name}:{line}" for line in lines_]


def test_clips_are_beside_their_table_absolute_on_the_web_or_in_a_bucket(tmp_path):
    names = ["a.mp3", "../b.mp3", "/data/c.mp3", "https://example.org/d.mp3?X-Sig=1"]
    reader = source(tmp_path, "in/list.jsonl", as_jsonl([{"path": name} for name in names]))
    found = [os.fspath(reader.audio(item)) for item in reader.items()]
    expected = [tmp_path / "in/a.mp3", tmp_path / "in/../b.mp3"]
    assert found == [*map(str, expected), "/data/c.mp3", "https://example.org/d.mp3?X-Sig=1"]


def test_a_table_in_a_bucket_cannot_name_files_of_this_machine():
    storage = BucketStorage(MemoryStore(), "s3://songs")
    names = ["a.mp3", "../b.mp3", "/etc/passwd", "https://example.org/d.mp3"]
    storage.write("in/list.jsonl", as_jsonl([{"path": name} for name in names]))
    storage.write("in/a.mp3", b"ID3")
    reader = TableSource(storage, ["in/list.jsonl"], TableOptions())
    assert [type(one) for one in reader.items()] == [Item, Malformed, Malformed, Item]
    assert reader.audio(next(reader.items())) == b"ID3"


def test_metadata_of_a_folder_cannot_name_files_elsewhere_and_its_names_are_keys(tmp_path):
    rows = [{"file_name": name} for name in ("a.mp3", "../b.mp3", "/etc/passwd", "https:x")]
    reader = source(tmp_path, "train/metadata.jsonl", as_jsonl(rows), is_dataset=True)
    keys = [one.key for one in reader.items()]
    assert keys[0] == "train/a.mp3"
    problems = malformed(reader)
    assert "leads out" in problems["train/metadata.jsonl:2"]
    assert "absolute" in problems["train/metadata.jsonl:3"]
    assert reader.audio(next(reader.items())) == tmp_path / "train/a.mp3"


@pytest.mark.parametrize("name", ["l.jsonl", "l.csv"])
def test_a_change_of_one_letter_in_a_long_table_is_another_table(tmp_path, name):
    lines_ = [f'{{"path": "{number:07}.mp3"}}\n'.encode() for number in range(120_000)]
    before = source(tmp_path, name, b"".join(lines_)).fingerprint()
    assert source(tmp_path, name, b"".join(lines_)).fingerprint() == before
    lines_[60_000] = lines_[60_000].replace(b".mp3", b".mp4")
    assert source(tmp_path, name, b"".join(lines_)).fingerprint() != before
    assert before.startswith(f"{name} sha256:")


@given(st.binary())
def test_any_bytes_are_a_table_of_json(content):
    storage = BucketStorage(MemoryStore(), "s3://songs")
    storage.write("l.jsonl", content)
    reader = TableSource(storage, ["l.jsonl"], TableOptions())
    assert all(isinstance(one, Item | Malformed) for one in reader.items())


def test_bad_lines_of_json_are_named_with_their_number(tmp_path):
    content = b"".join(
        [
            b'\xef\xbb\xbf{"path": "a.mp3"}\n',
            b"\n",
            b"not json\n",
            b"[1]\n",
            b'{"title": "x"}\n',
            b'{"path": 5}\n',
            b'{"path": "caf\xe9.mp3"}\n',
            b'{"path": "' + b"x" * lines.MAX_LINE_BYTES + b'"}\n',
            b'{"path": "a\\u0000.mp3"}\n',
            b"[" * 100_000 + b"\n",
            b'{"path": "z.mp3"}',
        ]
    )
    reader = source(tmp_path, "l.jsonl", content)
    problems = malformed(reader)
    parts = {
        3: "not JSON",
        4: "expected a JSON object, not list",
        5: "no column for the clips",
        6: "must be a path or a URL as text, not 5",
        7: "UTF-8",
        8: "longer than 1,048,576 bytes",
        9: "NUL",
        10: "not JSON",
    }
    assert {number for number in parts if f"l.jsonl:{number}" in problems} == {*parts}
    for number, part in parts.items():
        assert part in problems[f"l.jsonl:{number}"]
    assert [one.location for one in reader.items() if isinstance(one, Item)] == ["a.mp3", "z.mp3"]


def test_bad_lines_of_csv_are_named_with_their_number(tmp_path):
    content = b"".join(
        [
            b"path;title\n",
            b"a.mp3;ok\n",
            b"b.mp3;two;three\n",
            b";no clip\n",
            b"caf\xe9.mp3;x\n",
            b"\n",
            b'c.mp3;"two\nlines"\n',
            b"d.mp3;" + b"x" * lines.MAX_LINE_BYTES + b"\n",
            b'e.mp3;"x"y\n',
            b"z.mp3;end",
        ]
    )
    reader = source(tmp_path, "l.csv", content)
    problems = malformed(reader)
    assert "3 fields; the header has 2" in problems["l.csv:3"]
    assert "must be a path" in problems["l.csv:4"]
    assert "not valid UTF-8" in problems["l.csv:5"]
    assert "longer than" in problems["l.csv:9"]
    assert "not valid CSV" in problems["l.csv:10"]
    good = {one.key: one.location for one in reader.items() if isinstance(one, Item)}
    assert good == {"l.csv:2": "a.mp3", "l.csv:7": "c.mp3", "l.csv:11": "z.mp3"}


@pytest.mark.parametrize("content", [b"title,year\nx,1\n", b""])
def test_a_table_without_a_column_of_clips_is_refused_with_its_columns(tmp_path, content):
    reader = source(tmp_path, "l.csv", content)
    with pytest.raises(BadRequest, match=r"no column for the clips .*name one with --column"):
        list(reader.items())


def test_a_chosen_column_names_the_clips_and_must_exist(tmp_path):
    rows = [{"path": "a.mp3", "stem": "vocals.mp3"}]
    [item] = source(tmp_path, "l.csv", as_csv(rows), column="stem").items()
    assert (item.location, item.columns) == ("vocals.mp3", rows[0])
    with pytest.raises(BadRequest, match=r"l.csv has no column 'x'; its columns are path, stem"):
        list(source(tmp_path, "l.csv", as_csv(rows), column="x").items())


def test_clips_in_parquet_are_read_by_row_group(tmp_path):
    contents = [f"clip {number}".encode() for number in range(7)]
    paths = [f"{number}.mp3" for number in range(7)]
    table = songs(contents, paths, title=[f"t{number}" for number in range(7)])
    reader = source(tmp_path, "s.parquet", as_parquet(table, row_group_size=3))
    items = list(reader.items())
    assert items[4].columns == {"audio": "4.mp3", "title": "t4"}
    assert items[4].key == "s.parquet:5"
    order = [6, 0, 3, 5, 1]
    assert [reader.audio(items[number]) for number in order] == [contents[n] for n in order]


def test_a_row_without_a_clip_fails_alone_and_plain_binary_columns_are_clips_too(tmp_path):
    reader = source(tmp_path, "s.parquet", as_parquet(songs([b"x", None])))
    first, second = reader.items()
    assert reader.audio(first) == b"x"
    with pytest.raises(InvalidAudio, match=r"s.parquet:2: the row has no bytes of a clip"):
        reader.audio(second)
    plain = pa.table({"flac": pa.array([b"fLaC"]), "n": [1]})
    reader = source(tmp_path, "p.parquet", as_parquet(plain))
    assert [reader.audio(item) for item in reader.items()] == [b"fLaC"]


def test_values_that_json_lacks_are_converted(tmp_path):
    table = pa.table(
        {
            "path": ["a.mp3"],
            "when": pa.array([0], pa.timestamp("s")),
            "score": [float("nan")],
            "tags": [["x", "y"]],
            "more": [{"a": 1.5}],
        }
    )
    [item] = source(tmp_path, "l.parquet", as_parquet(table)).items()
    assert json.loads(json.dumps(item.columns, allow_nan=False)) == {
        "path": "a.mp3",
        "when": "1970-01-01T00:00:00",
        "score": None,
        "tags": ["x", "y"],
        "more": {"a": 1.5},
    }


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_not_parquet_is_refused(tmp_path, content):
    with pytest.raises(BadRequest, match=r"l.parquet is not a valid Parquet file"):
        list(source(tmp_path, "l.parquet", content).items())


def test_a_row_group_that_needs_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("flamingo.batch.sources.parquet_rows.MAX_GROUP_BYTES", 100)
    reader = source(tmp_path, "s.parquet", as_parquet(songs([bytes(60), bytes(60)])))
    with pytest.raises(BadRequest, match=r"row group 0 .* fewer rows in a group"):
        list(reader.items())


def test_the_fingerprint_changes_with_the_table(tmp_path):
    prints = [
        source(tmp_path, "l.jsonl", content).fingerprint()
        for content in (b'{"path": "a"}\n', b'{"path": "a"}\n', b'{"path": "b"}\n')
    ]
    assert prints[0] == prints[1] != prints[2]


def test_the_kind_can_be_chosen_for_a_file_with_another_suffix(tmp_path):
    reader = source(tmp_path, "l.txt", as_csv(ROWS), kind=Kind.CSV)
    assert [item.location for item in reader.items()] == ["a.mp3", "b/曲.mp3"]


def test_empty_cells_of_csv_are_missing_options_and_numbers_are_numbers(tmp_path):
    rows = [
        {"path": "a.mp3", "custom_id": "", "style": "", "max_tokens": "9", "title": ""},
        {"path": "b.mp3", "custom_id": "b", "style": "brief", "max_tokens": "", "title": "x"},
    ]
    one, other = source(tmp_path, "l.csv", as_csv(rows)).items()
    assert (one.key, one.options, one.columns) == ("l.csv:2", {"max_tokens": 9}, rows[0])
    assert (other.key, other.options) == ("b", {"style": "brief"})
