"""WebDataset: tar files whose members are a clip, and its JSON or text with the same name.

Nothing is unpacked: headers are read one after the other, and a member's contents are read at its
offset when its turn comes. The location of an item is `shard.tar#MEMBER@OFFSET+SIZE`.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from flamingo.batch.items import Entry, Item, Malformed
from flamingo.batch.storage import names
from flamingo.batch.storage.storage import Storage
from flamingo_common.audio.formats import has_audio_extension
from flamingo_common.errors import InvalidAudio, RequestTooLarge
from flamingo_common.service import printable
from flamingo_common.wire import MAX_BODY_BYTES

MAX_TEXT_BYTES = 2**20
"""Of a `.json` or `.txt` member: more is not a description of a clip."""
TEXTS = {"txt", "text", "caption", "transcript", "cls"}
_LOCATION = re.compile(r"^(?P<tar>[^#]*)#(?P<member>.*)@(?P<offset>\d+)\+(?P<size>\d+)$", re.DOTALL)


@dataclass
class Sample:
    """The members of one key, which are beside each other in a tar file."""

    key: str
    audio: list[tuple[str, tarfile.TarInfo]] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class WebDatasetSource:
    """The samples of tar files, in the order in which they are stored."""

    def __init__(self, storage: Storage, tars: Sequence[str]) -> None:
        self._storage = storage
        self._tars = tars

    def items(self) -> Iterator[Entry]:
        """Yield an item for each sample; see `Source`."""
        for tar in self._tars:
            with self._storage.open(tar) as file:
                yield from _entries(tar, file)

    def fingerprint(self) -> str:
        """Return the place: tar files may be added between runs."""
        return f"webdataset {self._storage.identity}"

    def audio(self, item: Item) -> bytes:
        """Return the contents of a member; see `Source`."""
        match = _LOCATION.match(item.location)
        assert match is not None, "every location is made by this source"
        shown = printable.escape_line(f"{match['tar']}#{match['member']}")
        size_bytes = int(match["size"])
        if size_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(f"{shown} exceeds the limit of {MAX_BODY_BYTES} bytes")
        with self._storage.open(_unquote(match["tar"])) as file:
            file.seek(int(match["offset"]))
            content = file.read(size_bytes)
        if len(content) < size_bytes:
            raise InvalidAudio(f"{shown} is incomplete: the tar file ends in it", param="file")
        return content


def _entries(tar: str, file: BinaryIO) -> Iterator[Entry]:
    """Yield the items of one tar file, and what is wrong with it."""
    sample: Sample | None = None
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in _members(archive):
                key, extension = names.webdataset_key(member.name)
                if sample is None or key != sample.key:
                    yield from _sample_entries(tar, sample)
                    sample = Sample(key)
                _add(sample, extension, member, archive)
        yield from _sample_entries(tar, sample)
    except (tarfile.TarError, EOFError, OSError) as error:
        yield from _sample_entries(tar, sample)
        yield Malformed(tar, _explain(error, file))


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # it would keep a kilobyte for each of a million members
        if not member.isdir():
            yield member


def _add(sample: Sample, extension: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    problem = names.problem_of(member.name)
    if problem is not None:
        sample.problems.append(f"member {printable.escape_line(member.name)!r}: {problem}")
    elif not member.isreg() or member.sparse is not None:
        sample.problems.append(f"member {printable.escape_line(member.name)!r} is not a file")
    elif has_audio_extension(f".{extension}"):
        sample.audio.append((extension, member))
    elif extension == "json" or extension in TEXTS:
        _add_text(sample, extension, member, archive)


def _add_text(
    sample: Sample, extension: str, member: tarfile.TarInfo, archive: tarfile.TarFile
) -> None:
    if member.size > MAX_TEXT_BYTES:
        limit = f"{member.size:,} bytes; the limit is {MAX_TEXT_BYTES:,}"
        sample.problems.append(f"member {printable.escape_line(member.name)!r} has {limit}")
        return
    file = archive.extractfile(member)
    assert file is not None, "it is a regular file"
    text = file.read().decode("utf-8", "replace")
    if extension != "json":
        sample.columns[extension] = text.rstrip("\n")
        return
    try:
        value = json.loads(text)
    except ValueError as error:
        sample.problems.append(f"{sample.key}.json is not valid JSON: {error}")
        return
    sample.columns.update(value if isinstance(value, dict) else {"json": value})


def _sample_entries(tar: str, sample: Sample | None) -> Iterator[Entry]:
    if sample is None:
        return
    if not sample.problems and not sample.audio:
        sample.problems.append("no audio file has this key")
    if sample.problems:
        yield Malformed(f"{tar}#{sample.key}", "; ".join(sample.problems))
        return
    for extension, member in sample.audio:
        key = sample.key if len(sample.audio) == 1 else f"{sample.key}.{extension}"
        where = f"{_quote(tar)}#{member.name}@{member.offset_data}+{member.size}"
        yield Item(key, where, sample.columns, num_bytes=member.size)


def _explain(error: Exception, file: BinaryIO) -> str:
    if isinstance(error, tarfile.ReadError):
        file.seek(0)
        if file.read(2) == b"\x1f\x8b":
            return "it is compressed with gzip, and members cannot be read at their offsets; gunzip"
    return f"the tar file is damaged: {error}"


def _quote(tar: str) -> str:
    return tar.replace("%", "%25").replace("#", "%23")


def _unquote(tar: str) -> str:
    return tar.replace("%23", "#").replace("%25", "%")
