"""What a source is, by the name and the first bytes of a file.

Pure.
"""

from enum import StrEnum

from flamingo_common.audio.formats import has_audio_extension


class Kind(StrEnum):
    """What a batch can read."""

    FOLDER = "folder"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    AUDIOFOLDER = "audiofolder"
    WEBDATASET = "webdataset"


TABLES = frozenset({Kind.JSONL, Kind.CSV, Kind.PARQUET})
SUFFIXES = {
    "jsonl": Kind.JSONL,
    "ndjson": Kind.JSONL,
    "csv": Kind.CSV,
    "tsv": Kind.CSV,
    "parquet": Kind.PARQUET,
    "tar": Kind.WEBDATASET,
}
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""AudioFolder's tables."""
HEAD_BYTES = 512
"""What is needed of a file to know what it is."""
_TAR_MAGIC = slice(257, 262)


def of_name(name: str) -> Kind | None:
    """Return what a file is by its suffix; None for other files."""
    return SUFFIXES.get(name.rpartition(".")[2].lower())


def of_table(name: str, chosen: Kind | None) -> Kind:
    """Return how a table is read: as chosen, or as its suffix says, or as JSON Lines."""
    kinds = (chosen, of_name(name))
    return next((one for one in kinds if one is not None and one in TABLES), Kind.JSONL)


def of_head(name: str, head: bytes) -> Kind | None:
    """Return what a file is by its first bytes, and by its name if those are plain text."""
    if head.startswith(b"PAR1"):
        return Kind.PARQUET
    if head[_TAR_MAGIC] == b"ustar":
        return Kind.WEBDATASET
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return Kind.JSONL
    return of_name(name)


def is_metadata(name: str) -> bool:
    """Whether a file is AudioFolder's metadata, by its name."""
    return name.rpartition("/")[2] in METADATA


def is_wanted(name: str, kind: Kind) -> bool:
    """Whether a file in a folder is read for a source of this kind, by its name."""
    if kind is Kind.FOLDER:
        return has_audio_extension(name)
    if kind is Kind.AUDIOFOLDER:
        return is_metadata(name)
    return of_name(name) is kind
