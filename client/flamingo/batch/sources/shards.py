"""One of several equal shares of a source, so that many machines share one batch."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from flamingo.batch.items import Entry, Item
from flamingo.batch.source import ClipAudio, Source
from flamingo.batch.sources.url_keys import key_of_url
from flamingo.batch.storage import location
from flamingo_common import numerals
from flamingo_common.errors import BadRequest

MAX_SHARDS = 100_000
"""Names of parts have five digits for the shard."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Which share, from 0, and of how many; as `JOB_COMPLETION_INDEX` of an Indexed Job."""

    index: int = 0
    num_shards: int = 1


def parse_shard(text: str) -> Shard:
    """Return the shard `i/n`.

    Raises:
        BadRequest: it is not one.
    """
    first, _, second = text.partition("/")
    index, num_shards = numerals.whole(first), numerals.whole(second)
    if index is None or num_shards is None:
        raise BadRequest(f"{text!r} is not a valid shard; expected a form like 0/8")
    return check_shard(Shard(index, num_shards))


def check_shard(shard: Shard) -> Shard:
    """Return `shard`.

    Raises:
        BadRequest: there is no such shard.
    """
    if not 1 <= shard.num_shards <= MAX_SHARDS:
        raise BadRequest(f"{shard.num_shards} shards; expected 1 to {MAX_SHARDS}")
    if not 0 <= shard.index < shard.num_shards:
        last = shard.num_shards - 1
        raise BadRequest(
            f"shard {shard.index} does not exist; shards are numbered from 0 to {last}"
        )
    return shard


class ShardSource:
    """The entries of a source that belong to one shard: by a hash of the clip's location.

    So a clip with several lines is in one shard, and files that are added do not move others.
    """

    def __init__(self, source: Source, shard: Shard) -> None:
        self._source = source
        self._shard = shard

    def items(self) -> Iterator[Entry]:
        """Return an iterator over the entries of the shard; see `Source`."""
        index, num_shards = self._shard.index, self._shard.num_shards
        for entry in self._source.items():
            if _hash(_place(entry)) % num_shards == index:
                yield entry

    def fingerprint(self) -> str:
        """Return that of the source, and the shard: another number moves items."""
        shard = f"shard {self._shard.index}/{self._shard.num_shards}"
        return f"{self._source.fingerprint()} {shard}"

    def audio(self, item: Item) -> ClipAudio:
        """Return the clip; see `Source`."""
        return self._source.audio(item)


def _place(entry: Entry) -> str:
    """Return where the clip is; a URL is the same however it was signed."""
    if not isinstance(entry, Item):
        return entry.key
    return key_of_url(entry.location) if location.is_web(entry.location) else entry.location


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
