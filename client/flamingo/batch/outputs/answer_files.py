"""The files beside a clip that have the answers to several questions about it.

An answer in JSON is `.NAME.json`, sections and any other text `.NAME.txt`. The first sections
whose lines have times are also an LRC file, which players show. The recipe `ace-step` has the files
that ACE-Step's training reads: `.caption.txt`, `.lyrics.txt`, and `.json` with the rest. Without
lyrics a clip is instrumental for it, so `[Instrumental]` is not written.

Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flamingo.batch.answer_forms import AnswerForm
from flamingo_common.errors import BadRequest
from flamingo_common.timed_text import render
from flamingo_common.wire.answers import Answer, to_timed_text

ACE_STEP = "ace-step"
INSTRUMENTAL = "[instrumental]"
LRC = ".lrc"


def check(forms: Sequence[AnswerForm]) -> None:
    """Check that no two answers are one file.

    Raises:
        BadRequest: two are; the message names the questions and the file.
    """
    owners: dict[str, str] = {}
    for form in forms:
        for suffix in _suffixes(form):
            if (other := owners.setdefault(suffix, form.name)) != form.name:
                raise BadRequest(
                    f"the answers {other!r} and {form.name!r} would both be the sidecar"
                    f" SONG{suffix}; leave one of them out, or write another format"
                )


def _suffixes(form: AnswerForm) -> tuple[str, ...]:
    if form.recipe == ACE_STEP:
        return (".caption.txt", ".lyrics.txt", ".json")
    is_text = form.has_sections or not form.is_json
    return (f".{form.name}.{'txt' if is_text else 'json'}",)


def files(answers: Mapping[str, Answer], clip_s: float) -> Iterator[tuple[str, str]]:
    """Yield the suffix and the text of each file; an answer that failed has none."""
    has_times = False
    for name, answer in answers.items():
        if answer.error is not None:
            continue
        if answer.recipe == ACE_STEP and isinstance(answer.parsed, Mapping):
            yield from _ace_step(answer.parsed)
        elif answer.sections is not None:
            yield f".{name}.txt", _sections(answer)
            if not has_times and (lines := _lrc(answer, clip_s)):
                has_times = True
                yield LRC, lines
        elif answer.decisions is not None:
            values = [one.model_dump(mode="json") for one in answer.decisions]
            yield f".{name}.json", _json(values)
        elif answer.parsed is not None:
            yield f".{name}.json", _json(answer.parsed)
        else:
            yield f".{name}.txt", _lines(answer.content)


def _ace_step(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    caption, lyrics = fields.get("caption"), fields.get("lyrics")
    if isinstance(caption, str) and caption.strip():
        yield ".caption.txt", _lines(caption)
    if isinstance(lyrics, str) and lyrics.strip().lower() not in {"", INSTRUMENTAL}:
        yield ".lyrics.txt", _lines(lyrics)
    yield ".json", _json({name: one for name, one in fields.items() if name != "lyrics"})


def _sections(answer: Answer) -> str:
    """Return headings with their lines, and without times; what has no lines stays as it is."""
    sections = answer.sections or ()
    if not any(section.lines for section in sections):
        return _lines(answer.content)
    blocks = []
    for section in sections:
        heading = [f"[{section.name}]"] if section.name else []
        blocks.append("\n".join([*heading, *(line.text for line in section.lines)]))
    return _lines("\n\n".join(block for block in blocks if block))


def _lrc(answer: Answer, clip_s: float) -> str:
    if all(line.start_s is None for section in answer.sections or () for line in section.lines):
        return ""
    try:
        return render.lrc(to_timed_text(answer), clip_s)
    except render.NoTimes:  # they are behind the end of the clip
        return ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _lines(text: str) -> str:
    return text.strip("\n") + "\n"
