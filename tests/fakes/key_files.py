"""API key files, and their replacement as Kubernetes does it for a mounted Secret."""

import json
import time

from flamingo_common.service import keys

ALICE, ALICE_NEW, BOB, EYE = "fk-alice-1", "fk-alice-2", "fk-bob", "fk-eye"


def entry(name, key, **settings):
    return {"name": name, "sha256": keys.digest_of(key)} | settings


FILE = {
    "keys": [
        entry("alice", ALICE, weight=2, max_concurrent=4),
        entry("bob", BOB, requests_per_minute=60, audio_seconds_per_minute=600),
        entry("eye", EYE, may=["observe"]),
    ]
}


def swap(folder, content):
    """Replace the file in `folder` as Kubernetes replaces a mounted Secret; return its path."""
    data = folder / f"..{time.monotonic_ns()}"
    data.mkdir()
    (data / "keys").write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / "..new").symlink_to(data.name)
    (folder / "..new").rename(folder / "..data")
    if not (folder / "keys").is_symlink():
        (folder / "keys").symlink_to("..data/keys")
    return folder / "keys"
