"""The CLIP arguments of the command line, as audio for the client."""

import sys

from flamingo.client.sources import Audio, clip_name


def open_argument(clip: str) -> Audio:
    """Return standard input for `-`, and `clip` itself, a path or URL, for anything else."""
    return sys.stdin.buffer if clip == "-" else clip


def display_name(clip: str) -> str:
    """Return the name of `clip` for progress messages."""
    return "standard input" if clip == "-" else clip_name(clip)
