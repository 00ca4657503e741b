"""The CLIP arguments of the command line, as audio for the client."""

import sys

from flamingo.client.sources import Audio, clip_name
from flamingo_common.errors import InvalidAudio
from flamingo_common.service import printable
from flamingo_common.wire import MAX_BODY_BYTES


def open_argument(clip: str) -> Audio:
    """Return standard input for `-`, and `clip` itself, a path or URL, for anything else."""
    if clip != "-":
        return clip
    if sys.stdin is None:
        raise InvalidAudio("standard input is closed", param="file")
    return sys.stdin.buffer


def open_reusable(clip: str) -> Audio:
    """Return what `open_argument` does, or the contents of standard input, to use repeatedly."""
    audio = open_argument(clip)
    return sys.stdin.buffer.read(MAX_BODY_BYTES + 1) if clip == "-" else audio


def display_name(clip: str) -> str:
    """Return the name of `clip` for progress messages."""
    return "standard input" if clip == "-" else clip_name(clip)


def json_name(clip: str) -> str:
    r"""Return `clip` for JSON, which is UTF-8: with `\xe9` for each byte of it that is not."""
    return printable.escape_undecoded(clip)
