"""Renders timed text as LRC, SRT and WebVTT.

Of a part of a clip, `start_s` and `clip_s` are where it begins and ends: its times are the clip's.

Pure.
"""

from collections.abc import Iterator

from flamingo_common.timed_text import cues
from flamingo_common.timed_text.content import TimedText
from flamingo_common.timed_text.cues import Entry

NO_TIMES = "the answer has no times within the clip, which {} needs"


class NoTimes(ValueError):
    """The content has no time from which a format could be made."""


def lrc(content: TimedText, clip_s: float, *, start_s: float = 0.0) -> str:
    """Return LRC; lines without a time are in it without a tag, where the answer has them.

    Raises:
        NoTimes: nothing has a time.
    """
    found = cues.entries(content, clip_s, start_s=start_s)
    _require_times(found, "LRC")
    return "".join(f"{line}\n" for line in _lrc_lines(found))


def srt(content: TimedText, clip_s: float, *, start_s: float = 0.0) -> str:
    """Return SRT (SubRip); lines without a time are left out, as the format has none.

    Raises:
        NoTimes: nothing has a time.
    """
    found = cues.cues(content, clip_s, start_s=start_s)
    _require_times(found, "SRT")
    blocks = (
        f"{number}\n{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}\n{cue.text}\n"
        for number, cue in enumerate(found, 1)
    )
    return "\n".join(blocks)


def vtt(content: TimedText, clip_s: float, *, start_s: float = 0.0) -> str:
    """Return WebVTT; lines without a time are in it as a comment.

    Raises:
        NoTimes: nothing has a time.
    """
    found = cues.cues(content, clip_s, start_s=start_s)
    _require_times(found, "WebVTT")
    blocks = [
        f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n{_escaped(cue.text)}\n"
        for cue in found
    ]
    untimed = [
        one.text for one in cues.entries(content, clip_s, start_s=start_s) if one.start_s is None
    ]
    if untimed:
        blocks.append("NOTE without a time:\n" + _escaped("\n".join(untimed)) + "\n")
    return "\n".join(["WEBVTT\n", *blocks])


def _require_times(found: list[Entry] | list[cues.Cue], name: str) -> None:
    if not any(one.start_s is not None for one in found):
        raise NoTimes(NO_TIMES.format(name))


def _lrc_lines(found: list[Entry]) -> Iterator[str]:
    last_s = 0.0
    placed = []
    for entry in found:
        last_s = last_s if entry.start_s is None else entry.start_s
        placed.append((last_s, entry))
    placed.sort(key=lambda pair: pair[0])  # stable: what has no time stays behind what it follows
    for _, entry in placed:
        tag = "" if entry.start_s is None else f"[{_minutes(entry.start_s)}]"
        yield from (f"{tag}{line}" for line in entry.text.splitlines())


def _minutes(seconds: float) -> str:
    """Return `mm:ss.xx`."""
    hundredths = int(seconds * 100 + 0.5)
    return f"{hundredths // 6000:02}:{hundredths % 6000 // 100:02}.{hundredths % 100:02}"


def _stamp(seconds: float, point: str) -> str:
    """Return `hh:mm:ss.mmm`, with `point` before the milliseconds."""
    millis = int(seconds * 1000 + 0.5)
    minutes, rest = divmod(millis, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
