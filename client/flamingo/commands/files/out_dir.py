"""`--out-dir`: the names of the files that one command writes for several clips.

Files are in the folders that their clips are in: two clips of one name, also of two commands, never
have one file.

Pure.
"""

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from flamingo.batch.outputs.file_names import clip_name
from flamingo.batch.storage import names
from flamingo.client import address
from flamingo_common.audio import formats
from flamingo_common.errors import BadRequest


def file_names(clips: Sequence[str], suffix: str, folder: str) -> dict[str, str]:
    """Return the relative path of each clip's file: `a/song.mp3` becomes `a/song.caption.txt`.

    Clips that differ only in their suffix keep it (`song.flac.caption.txt`). `folder` is where
    relative paths begin, as an absolute path.

    Raises:
        BadRequest: two clips would be one file; the message names both.
    """
    places = {clip: clip_name(_place(clip, folder)) for clip in clips}
    stems = Counter(_stem(place) for place in {*places.values()})
    chosen = {
        clip: (place if stems[_stem(place)] > 1 else _stem(place)) + suffix
        for clip, place in places.items()
    }
    return _checked(chosen)


def _checked(chosen: Mapping[str, str]) -> dict[str, str]:
    first: dict[str, str] = {}
    for clip, name in chosen.items():
        if (other := first.setdefault(name, clip)) != clip:
            raise BadRequest(
                f"{other} and {clip} would be one file in --out-dir, {name}; name each clip once,"
                " or save them with two commands in two folders"
            )
    return dict(chosen)


def _place(clip: str, folder: str) -> str:
    """Return where a clip is: a path in `folder`, or without it the path from the root.

    That of a URL is its host with the path.
    """
    if address.is_url(clip):
        parts = urlsplit(clip)
        return f"{parts.hostname or ''}/{unquote(parts.path).strip('/') or 'audio'}"
    path = posixpath.normpath(posixpath.join(folder, clip))
    inside = folder.rstrip("/") + "/"
    return path.removeprefix(inside) if path.startswith(inside) else path.lstrip("/")


def _stem(place: str) -> str:
    """Return a path without the suffix of its clip; `Op. 9` has none."""
    return names.stem(place) if formats.has_audio_extension(place) else place
