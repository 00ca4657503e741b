"""A file as pieces of another one, read like any file."""

import io
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.audio.containers.file_view import FileView
from flamingo_pod.audio.containers.patches import Patch, pieces

CONTENT = bytes(range(200))


@pytest.fixture(scope="module")
def file():
    with tempfile.TemporaryFile(buffering=0) as opened:
        opened.write(CONTENT)
        yield opened


PIECES = st.lists(
    st.binary(max_size=9)
    | st.tuples(st.integers(0, 200), st.integers(0, 200)).map(lambda ends: range(*sorted(ends)))
)


def joined(parts):
    return b"".join(
        part if isinstance(part, bytes) else CONTENT[part.start : part.stop] for part in parts
    )


def everything(view):
    return b"".join(iter(lambda: view.read(7), b""))


@given(parts=PIECES)
def test_a_view_is_its_pieces_one_after_the_other(file, parts):
    view = FileView(file, parts)
    assert everything(view) == joined(parts)
    assert view.seek(0, os.SEEK_END) == len(joined(parts))


@given(parts=PIECES, start=st.integers(0, 300), size=st.integers(-1, 300))
def test_a_view_is_read_from_any_position(file, parts, start, size):
    view, whole = FileView(file, parts), joined(parts)
    view.seek(start)
    data = view.read(size)

    assert whole[start:].startswith(data)
    assert bool(data) == (start < len(whole) and size != 0)
    assert view.tell() == start + len(data)


def test_a_patch_replaces_bytes(file):
    patches = [Patch(range(20, 30), b"xyz"), Patch(range(5, 6), b"")]
    view = FileView(file, pieces(range(2, 100), patches))
    assert everything(view) == CONTENT[2:5] + CONTENT[6:20] + b"xyz" + CONTENT[30:100]


def test_a_view_can_be_read_relative_to_its_position(file):
    view = FileView(file, [range(10), b"abc"])
    view.seek(4)
    assert view.seek(7, os.SEEK_CUR) == 11
    assert view.read(100) == b"bc"
    assert isinstance(file, io.FileIO)
