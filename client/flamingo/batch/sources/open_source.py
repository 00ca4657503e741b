"""Find out what a source is, and open it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from flamingo.batch.source import Source
from flamingo.batch.sources import kinds, patterns
from flamingo.batch.sources.folders import FolderSource
from flamingo.batch.sources.kinds import Kind
from flamingo.batch.sources.path_list import PathList
from flamingo.batch.sources.tables import TableOptions, TableSource
from flamingo.batch.sources.webdataset import WebDatasetSource
from flamingo.batch.storage import bucket, location
from flamingo.batch.storage.folder import FolderStorage
from flamingo.batch.storage.storage import Storage
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable, urls

MAX_SUFFIXES_SHOWN = 3


@dataclass(frozen=True)
class SourceOptions:
    """What the caller says about a source."""

    kind: Kind | None = None
    """None: it is found out."""
    column: str | None = None
    """The column of a table that names or contains the clips."""


DEFAULTS = SourceOptions()


@dataclass(frozen=True)
class Place:
    """A folder or bucket, and which of the files in it are meant."""

    storage: Storage
    is_meant: Callable[[str], bool]
    file: str = ""
    """The only one, if one is meant."""

    def names(self, kind: Kind) -> Iterator[str]:
        """Yield the names of the files that a source of this kind reads."""
        if self.file:
            yield self.file
            return
        for one in self.storage.walk():
            if self.is_meant(one.name) and kinds.is_wanted(one.name, kind):
                yield one.name


def open_source(*places: str, options: SourceOptions = DEFAULTS) -> Source:
    """Open what the caller names: a folder, a pattern, a table, a tar file, or several clips.

    Raises:
        BadRequest: there is no such thing, or nothing in it that can be read.
        MissingExtra: it needs a package that is not installed.
        StorageFailed: it cannot be listed or read.
    """
    if len(places) > 1:
        return _list_of_clips(places, options)
    place = _find(places[0])
    kind = options.kind or _kind(place, places[0])
    if kind is None:  # one clip
        return PathList([places[0]]) if _is_local_or_web(places[0]) else _folder(place)
    if kind is Kind.FOLDER:
        _check_not_empty(place, kind, places[0])
        return _folder(place)
    names = sorted(place.names(kind))
    if not names:
        raise BadRequest(_nothing(place, kind, places[0]))
    if kind is Kind.WEBDATASET:
        return WebDatasetSource(place.storage, names)
    is_dataset = kind is Kind.AUDIOFOLDER
    return TableSource(place.storage, names, TableOptions(kind, options.column, is_dataset))


def _list_of_clips(places: Sequence[str], options: SourceOptions) -> Source:
    tables = [one for one in places if kinds.of_name(one) is not None]
    if tables or options.kind not in {None, Kind.FOLDER}:
        shown = printable.escape_line((tables or list(places))[0])
        raise BadRequest(f"several sources must all be clips, and {shown} is not; quote a pattern")
    folder = next((one for one in places if _is_local_or_web(one) and Path(one).is_dir()), None)
    if folder is not None:
        raise BadRequest(f"{printable.escape_line(folder)} is a folder; it must be the only source")
    return PathList(places)


def _find(text: str) -> Place:
    if location.is_web(text):
        return _find_on_web(text)
    if location.is_bucket(text):
        return _find_in_bucket(text)
    if scheme := location.scheme(text):
        raise BadRequest(f"{scheme}:// is not supported; use s3, gs, az, https, or a path")
    path = Path(text)
    if path.is_dir():
        return Place(FolderStorage(path), lambda _: True)
    if path.exists():
        return Place(FolderStorage(path.parent), lambda _: True, path.name)
    if location.has_pattern(text):
        root, pattern = location.split_pattern(text)
        return _pattern(FolderStorage(Path(root or ".")), pattern)
    raise BadRequest(f"{printable.escape_line(text)}: no such file or folder")


def _find_on_web(text: str) -> Place:
    shown = urls.redact_url(text)
    folder, name = location.split_file(shown)
    if kinds.of_name(name) is None:
        return Place(FolderStorage(Path()), lambda _: True, text)
    if shown != text:
        raise BadRequest(
            f"{printable.escape_line(shown)}: a table or tar file is read with many requests, for"
            " which a URL with a query or credentials does not serve; download it first"
        )
    return Place(bucket.open_url(folder), lambda _: True, unquote(name))


def _find_in_bucket(text: str) -> Place:
    if location.has_pattern(text):
        root, pattern = location.split_pattern(text)
        return _pattern(bucket.open_url(root), pattern)
    folder, name = location.split_file(text)
    if name and "." in name:
        storage = bucket.open_url(folder)
        if storage.size_bytes(name) is not None:
            return Place(storage, lambda _: True, name)
    return Place(bucket.open_url(text), lambda _: True)


def _pattern(storage: Storage, pattern: str) -> Place:
    compiled = patterns.compile_pattern(pattern)
    return Place(storage, lambda name: compiled.match(name) is not None)


def _kind(place: Place, text: str) -> Kind | None:
    """Return what it is; None if it is one clip."""
    if place.file:
        if location.is_web(text) and kinds.of_name(place.file) is None:
            return None
        with place.storage.open(place.file) as file:
            return kinds.of_head(place.file, file.read(kinds.HEAD_BYTES))
    if any(place.storage.size_bytes(one) is not None for one in kinds.METADATA):
        return Kind.AUDIOFOLDER
    if location.has_pattern(text):
        return kinds.of_name(text) or Kind.FOLDER
    return Kind.FOLDER


def _folder(place: Place) -> FolderSource:
    def is_wanted(name: str) -> bool:
        if place.file:
            return name == place.file
        return place.is_meant(name) and kinds.is_wanted(name, Kind.FOLDER)

    return FolderSource(place.storage, is_wanted)


def _check_not_empty(place: Place, kind: Kind, text: str) -> None:
    if next(place.names(kind), None) is None:
        raise BadRequest(_nothing(place, kind, text))


def _nothing(place: Place, kind: Kind, text: str) -> str:
    """Return the message for a place without a file of this kind: it says what is there."""
    names = (one.name for one in place.storage.walk() if place.is_meant(one.name))
    found = Counter(kinds.of_name(name) or name.rpartition(".")[2][:10] for name in names)
    shown = printable.escape_line(text)
    wanted = "audio files" if kind is Kind.FOLDER else f"files for --format {kind}"
    if not found:
        return f"{shown}: no {wanted}; it is empty, or nothing in it matches"
    what = ", ".join(f"{num:,} {suffix}" for suffix, num in found.most_common(MAX_SUFFIXES_SHOWN))
    known = next((one for one in found if isinstance(one, Kind)), None)
    advice = f"; did you mean --format {known}?" if known else ""
    return f"{shown}: no {wanted} among its files ({what}){advice}"


def _is_local_or_web(text: str) -> bool:
    return not location.is_bucket(text)
