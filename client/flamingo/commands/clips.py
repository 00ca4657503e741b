"""What stands on a command line → audio for the client."""

import sys

from flamingo.client.sources import Audio, name_of


def audio(clip: str) -> Audio:
    """Return `clip`, or what comes in through standard input for `-`."""
    return sys.stdin.buffer if clip == "-" else clip


def title(clip: str) -> str:
    """Return what to call `clip` in a sentence."""
    return "standard input" if clip == "-" else name_of(clip)
