"""Find out what an OUTPUT of the command line is, and open it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from flamingo.batch.answer_forms import AnswerForm, Shape
from flamingo.batch.output import Output
from flamingo.batch.outputs import answer_files
from flamingo.batch.outputs.audio_folder import AudioFolderOutput
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.outputs.jsonl_parts import JsonlParts
from flamingo.batch.outputs.parquet_parts import ParquetFileOutput, ParquetParts
from flamingo.batch.outputs.part_names import HIDDEN, Part
from flamingo.batch.outputs.parts import PartFormat, PartsOutput
from flamingo.batch.outputs.safetensors_parts import SafetensorsParts
from flamingo.batch.outputs.sidecars import Sidecars
from flamingo.batch.outputs.stored_state import StoredState
from flamingo.batch.storage import bucket, location
from flamingo.batch.storage.folder import FolderStorage
from flamingo.batch.storage.storage import Storage
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

RESULTS = "results.jsonl"


class OutputKind(StrEnum):
    """What a batch can write."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    SAFETENSORS = "safetensors"
    AUDIOFOLDER = "audiofolder"
    SIDECARS = "sidecars"


SUFFIXES = {".jsonl": OutputKind.JSONL, ".parquet": OutputKind.PARQUET}
"""Of outputs that are one file."""
OTHER_FILES = {".csv", ".gz", ".json", ".ndjson", ".npy", ".safetensors", ".tar", ".tsv", ".txt"}
"""Suffixes of files that are not written; a folder with one is seldom meant."""
MAX_LABEL_BYTES = 20
"""So that `NAME.LABEL.txt` is not too long; see `file_names.MAX_CLIP_NAME_BYTES`."""


@dataclass(frozen=True)
class OutputOptions:
    """What the caller says about an output, and what it has to know about the batch."""

    results: Sequence[str]
    """Names of what the task computes, as records have them: `caption`, `embedding`."""
    clip_path: Callable[[str], Path | None]
    """Returns the path of the clip at a location, if it is a file of this machine."""
    kind: OutputKind | None = None
    """None: as the suffix says, or JSON Lines."""
    shard: tuple[int, int] = (0, 1)
    """Which one, from 0, and of how many."""
    label: str = "answer"
    """What an answer is, in the names of sidecars."""
    forms: Sequence[AnswerForm] = ()
    """Of the answers to several questions."""
    scratch: Path = Path()
    """A folder of this machine for the state of an output in a bucket."""

    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of the tags, by the name of the taxonomy."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """The shapes of all answers together, and of all tags."""
        answers = {form.name: form.shape for form in self.forms}
        tags = {name: dict.fromkeys(some, "number") for name, some in self.labels.items()}
        return {"answers": answers or "json", "tag_probabilities": tags or "json"}


@dataclass(frozen=True)
class OpenedOutput:
    """An output, and where its state is."""

    output: Output
    state_path: Path
    location: str
    """For messages."""


def open_output(place: str, options: OutputOptions) -> OpenedOutput:
    """Open what the caller names: a file, a folder, or a prefix of a bucket.

    Raises:
        BadRequest: such an output cannot be written there.
        MissingExtra: it needs a package that is not installed.
        StorageFailed: the bucket cannot be used.
    """
    if options.kind is OutputKind.SIDECARS:
        answer_files.check(options.forms)
    if location.is_bucket(place):
        _check_label(options.label)
        return _open_in_bucket(place, options)
    if scheme := location.scheme(place):
        raise BadRequest(f"{scheme}:// cannot be written to; use s3, gs, az, or a path")
    path = Path(place)
    _check_label(options.label)
    _check_suffix(place, path)
    kind = options.kind or SUFFIXES.get(path.suffix) or OutputKind.JSONL
    is_file = path.suffix in SUFFIXES and not path.is_dir()
    if is_file and SUFFIXES[path.suffix] is not kind:
        raise BadRequest(f"{printable.escape_line(place)} cannot be {kind}; name a folder instead")
    if is_file:
        return _open_file(path, kind, options)
    return _open_folder(path, kind, options)


def can_have_results(place: str) -> bool:
    """Return whether an earlier run can have written to the output that the caller names."""
    path = Path(place)
    return bool(location.scheme(place)) or path.suffix in SUFFIXES or path.is_dir()


def _check_label(label: str) -> None:
    if "/" in label or not label.isprintable() or not 0 < len(label.encode()) <= MAX_LABEL_BYTES:
        raise BadRequest(
            f"the label {label!r:.80} cannot be a part of a file name: it must have 1 to"
            f" {MAX_LABEL_BYTES} bytes, and no /"
        )


def _check_suffix(place: str, path: Path) -> None:
    suffix = path.suffix.lower()
    is_other = suffix in OTHER_FILES or (suffix in SUFFIXES and path.suffix not in SUFFIXES)
    if is_other and not place.endswith("/") and not path.is_dir():
        shown = printable.escape_line(place)
        raise BadRequest(
            f"{shown} would be a folder: name FILE.jsonl or FILE.parquet, or the folder as {shown}/"
        )


def _open_file(path: Path, kind: OutputKind, options: OutputOptions) -> OpenedOutput:
    path = path.with_name(shard_name(path.name, options.shard))
    state_path = path.with_name(f"{path.name}.state")
    if kind is OutputKind.PARQUET:
        output: Output = ParquetFileOutput(path, options.results, options.shapes)
    else:
        output = JsonlOutput(path)
    return OpenedOutput(output, state_path, str(path))


def _open_folder(path: Path, kind: OutputKind, options: OutputOptions) -> OpenedOutput:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        shown = printable.escape_line(str(path))
        raise BadRequest(f"cannot create the folder {shown}: {reason}") from None
    state_path = path / HIDDEN / shard_name("state.json", options.shard)
    results = path / shard_name(RESULTS, options.shard)
    match kind:
        case OutputKind.JSONL:
            output: Output = JsonlOutput(results)
        case OutputKind.SIDECARS:
            output = Sidecars(JsonlOutput(results), FolderStorage(path), label=options.label)
        case OutputKind.AUDIOFOLDER:
            if options.shard[1] > 1:
                raise BadRequest("a dataset for AudioFolder has one metadata file: write Parquet")
            output = AudioFolderOutput(path, options.clip_path)
        case _:
            output = _parts(FolderStorage(path), kind, options)
    return OpenedOutput(output, state_path, str(path))


def _open_in_bucket(place: str, options: OutputOptions) -> OpenedOutput:
    _, name = location.split_file(place)
    kind = options.kind or OutputKind.JSONL
    if "." in name and f".{name.rpartition('.')[2]}" in SUFFIXES:
        raise BadRequest(
            f"{printable.escape_line(place)}: objects cannot grow, so an output in a bucket is a"
            f" folder of parts; name a prefix, and the format with --output-format {kind}"
        )
    if kind is OutputKind.AUDIOFOLDER:
        raise BadRequest("a dataset for AudioFolder cannot be in a bucket: write Parquet")
    storage = bucket.open_url(place)
    output: Output = _parts(storage, kind, options)
    if kind is OutputKind.SIDECARS:
        output = Sidecars(output, storage, label=options.label)
    state_path = options.scratch / "state.json"
    state_name = f"{HIDDEN}/{shard_name('state.json', options.shard)}"
    stored = StoredState(output, storage, state_name, state_path)
    return OpenedOutput(stored, state_path, storage.location)


def _parts(storage: Storage, kind: OutputKind, options: OutputOptions) -> PartsOutput:
    formats: dict[OutputKind, Callable[[], PartFormat]] = {
        OutputKind.PARQUET: lambda: ParquetParts(options.results, options.shapes),
        OutputKind.SAFETENSORS: SafetensorsParts,
    }
    format_ = formats.get(kind, JsonlParts)()
    return PartsOutput(storage, format_, Part(options.shard[0], 0))


def shard_name(name: str, shard: tuple[int, int]) -> str:
    """Return the name of a shard's own file: `songs-00002-of-00008.parquet`."""
    index, num_shards = shard
    if num_shards == 1:
        return name
    stem, dot, suffix = name.partition(".")
    return f"{stem}-{index:05d}-of-{num_shards:05d}{dot}{suffix}"
