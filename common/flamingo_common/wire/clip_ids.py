"""The ids of clips, by which a clip that was sent is used again without sending it.

An id is a digest of the clip's bytes and of the caller's name: the same clip has the same id at
every pod, and another id for another caller. Pods report what they hold by names that are digests
once more, so that a caller who knows another one's id cannot find out whether it is held.

Pure.
"""

import hashlib
import re

PREFIX = "clip-"
ID_BYTES, NAME_BYTES = 20, 12
PATTERN = f"{PREFIX}[0-9a-f]{{{2 * ID_BYTES}}}"
NOT_HELD = (
    "no clip with this id is held for this API key; a clip is held for a while after its last use,"
    " and not across restarts of its pod: send the clip again"
)
_ID = re.compile(PATTERN)


def clip_id(content_digest: bytes, tenant: bytes) -> str:
    """Return the id that a clip has for a tenant; `content_digest` is a hash of all its bytes."""
    return PREFIX + _keyed(content_digest, tenant, ID_BYTES)


def held_name(identifier: str, tenant: bytes) -> str:
    """Return the name under which pods report that they hold a tenant's clip."""
    return _keyed(identifier.encode("utf-8", "replace"), tenant, NAME_BYTES)


def is_clip_id(text: str) -> bool:
    """Return whether `text` has the form of an id."""
    return _ID.fullmatch(text) is not None


def _keyed(data: bytes, tenant: bytes, num_bytes: int) -> str:
    key = hashlib.blake2b(tenant, digest_size=32).digest()  # a name can be longer than a key
    return hashlib.blake2b(data, digest_size=num_bytes, key=key).hexdigest()
