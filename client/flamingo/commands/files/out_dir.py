"""`--out-dir`: the names of the files that one command writes for several clips.

A file is named for the whole name of its clip, in the folder that the clip is in. So two clips
never have one file, also of two commands, neither of which knows the clips of the other, and
whatever the format: a text or an array cannot say which clip it is of.

Pure.
"""

import posixpath
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from flamingo.batch.outputs.file_names import clip_name
from flamingo.client import address
from flamingo_common.errors import BadRequest


def file_names(clips: Sequence[str], suffix: str, folder: str) -> dict[str, str]:
    """Return the relative path of each clip's file: `a/song.mp3` becomes `a/song.mp3.caption.txt`.

    `folder` is where relative paths begin, as an absolute path.

    Raises:
        BadRequest: two clips would be one file; the message names both.
    """
    return _checked({clip: clip_name(_place(clip, folder)) + suffix for clip in clips})


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
