"""Reads the sections, lines and times of an answer, whatever their format, and checks them.

Formats: lyrics under headings (`[Verse 1]`, `**Chorus**`, `Bridge:`), times beside headings or
lines (`Intro 0:00-0:15`, `[0:12.50] text`), LRC, SRT, WebVTT, tables, and JSON.

Pure.
"""

from flamingo_common.timed_text import checks, json_reader, text_reader
from flamingo_common.timed_text.content import TimedText

MAX_FAULTS = 32


def parse(answer: str, clip_s: float, *, start_s: float = 0.0) -> TimedText:
    """Return what `answer` states about a clip of `clip_s` seconds. Nothing is added to it.

    Of a part of a clip, `start_s` and `clip_s` are where it begins and ends.

    Times that contradict each other or the clip stay, and are listed in `faults`. An answer
    without headings is one section without a name.
    """
    read = json_reader.read if json_reader.is_json(answer) else text_reader.read
    found = read(answer)
    faults = [*found.faults, *checks.faults(found.sections, clip_s, start_s=start_s)]
    num_more = len(faults) - MAX_FAULTS
    if num_more > 0:
        faults[MAX_FAULTS:] = [f"and {num_more} more"]
    return TimedText(found.sections, tuple(faults))
