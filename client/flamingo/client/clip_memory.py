"""Which clips the fleet holds, so that a client sends each of them once.

A clip is known by a digest of its bytes: a file that has changed is another clip, whatever its name
and its time say.
"""

from collections import OrderedDict

from flamingo.client import blocking, sources
from flamingo.client.sources import Clip, ClipId

MAX_CLIPS = 1024
READ_BYTES = 2**20


class ClipMemory:
    """The ids of the last clips that the fleet said it holds."""

    def __init__(self) -> None:
        self._ids: OrderedDict[tuple[int, bytes], ClipId] = OrderedDict()
        """By size and digest; the oldest first."""

    async def find(self, clip: Clip) -> ClipId | None:
        """Return the id of a clip with these bytes.

        The clip is read only if one of its size is known: others have only to be sent.
        """
        if not any(size_bytes == clip.size_bytes for size_bytes, _ in self._ids):
            return None
        try:
            key = clip.size_bytes, await blocking.run_to_end(_digest, clip)
        except OSError:  # sending the clip will say what is wrong
            return None
        return self._ids.get(key)

    def record(self, num_bytes: int, digest: bytes, clip_id: ClipId) -> None:
        """Remember the id of a clip that was sent."""
        self._ids[num_bytes, digest] = clip_id
        self._ids.move_to_end((num_bytes, digest))
        if len(self._ids) > MAX_CLIPS:
            self._ids.popitem(last=False)

    def forget(self, clip_id: ClipId) -> None:
        """Forget a clip that is not held any more."""
        for key in [key for key, each in self._ids.items() if each == clip_id]:
            del self._ids[key]


def _digest(clip: Clip) -> bytes:
    digest, offset = sources.new_digest(), 0
    while chunk := clip.read_at(offset, min(READ_BYTES, clip.size_bytes - offset)):
        digest.update(chunk)
        offset += len(chunk)
    return digest.digest()
