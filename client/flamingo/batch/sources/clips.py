"""The clips that a table names: beside it, elsewhere on this machine, in a bucket, on the web."""

import threading
from pathlib import Path

from flamingo.batch.source import ClipAudio
from flamingo.batch.storage import bucket, location
from flamingo.batch.storage.storage import Storage


class Clips:
    """Reads clips by their location. For any number of threads."""

    def __init__(self, storage: Storage) -> None:
        """Take the folder that relative names are in."""
        self._storage = storage
        self._lock = threading.Lock()
        self._buckets: dict[str, Storage] = {}

    def audio(self, clip: str) -> ClipAudio:
        """Return a clip; see `Source.audio`."""
        if location.is_web(clip):
            return clip
        if location.is_bucket(clip):
            root, name = location.split_bucket(clip)
            return self._bucket(root).audio(name)
        if clip.startswith("/"):
            return Path(clip)
        return self._storage.audio(clip)

    def _bucket(self, root: str) -> Storage:
        with self._lock:
            if root not in self._buckets:
                self._buckets[root] = bucket.open_url(root)
            return self._buckets[root]
